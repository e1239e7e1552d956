/* Intrusive doubly linked lists. The head and each link are a struct list; a field that is a link
 * says in its comment which head it belongs to.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_BASE_LIST_H
#define ENGINE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *prev, *next;
};

static inline void
list_init(struct list *l)
{
    l->prev = l->next = l;
}
static inline bool
list_empty(const struct list *head)
{
    return head->next == head;
}
static inline void
list_push_back(struct list *head, struct list *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}
static inline void
list_push_front(struct list *head, struct list *link)
{
    list_push_back(head->next, link);
}
/* The link is left empty, so that removing it twice does no harm. */
static inline void
list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}
static inline struct list *
list_pop_front(struct list *head)
{
    struct list *first = head->next;

    if (first == head)
        return NULL;
    list_remove(first);
    return first;
}

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define list_first(head, type, member)                                                             \
    (list_empty(head) ? NULL : container_of((head)->next, type, member))
#define list_for_each(it, head, type, member)                                                      \
    for (type *it = container_of((head)->next, type, member); &it->member != (head);               \
         it = container_of(it->member.next, type, member))
#define list_for_each_safe(it, tmp, head, type, member)                                            \
    for (type *it = container_of((head)->next, type, member),                                      \
              *tmp = container_of(it->member.next, type, member);                                  \
         &it->member != (head); it = tmp, tmp = container_of(it->member.next, type, member))

#endif
