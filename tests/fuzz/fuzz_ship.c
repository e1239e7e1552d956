/* What comes from other nodes, and what a node keeps of roles: messages, the register.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/base/mem.h"
#include "logship/message.h"
#include "node/role.h"
#include "tests/fuzz/fuzz.h"

/* ---- messages of the link ------------------------------------------------------------------- */

static void
decode_copies(struct slice body)
{
    struct ship_copy_begin begin;
    struct ship_copy_list list;
    struct ship_file file;
    struct ship_file_get get;
    struct ship_file_chunk chunk;
    struct ship_copy_end end;

    (void)!ship_copy_begin_decode(body, &begin);
    if (ship_copy_list_decode(body, &list) == 0)
        while (ship_copy_list_next(&list, &file) == 0)
            CHECK(ship_path_is_plain(file.path));
    if (ship_file_get_decode(body, &get) == 0)
        CHECK(ship_path_is_plain(get.path));
    (void)!ship_file_chunk_decode(body, &chunk);
    (void)!ship_copy_end_decode(body, &end);
}

/* Every body decoder takes any body: the type is said by the peer, too. */
static void
decode_bodies(struct slice body)
{
    struct ship_auth_hello auth;
    struct ship_auth_challenge challenge;
    struct ship_goodbye goodbye;
    struct ship_hello *hello = xmalloc(sizeof *hello);
    struct ship_redo redo;
    struct ship_ack ack;
    struct ship_pointer pointer;
    struct ship_redo_request request;
    struct ship_redo_end end;
    struct ship_locate locate;
    struct ship_located located;
    struct ship_command command;
    struct ship_reply reply;

    (void)!ship_auth_hello_decode(body, &auth);
    (void)!ship_auth_challenge_decode(body, &challenge);
    (void)!ship_goodbye_decode(body, &goodbye);
    (void)!ship_hello_decode(body, hello);
    (void)!ship_redo_decode(body, &redo);
    (void)!ship_ack_decode(body, &ack);
    (void)!ship_pointer_decode(body, &pointer);
    (void)!ship_redo_request_decode(body, &request);
    (void)!ship_redo_end_decode(body, &end);
    (void)!ship_locate_decode(body, &locate);
    (void)!ship_located_decode(body, &located);
    if (ship_command_decode(body, &command) == 0)
        CHECK(command.count <= SHIP_ARGS_MAX);
    (void)!ship_reply_decode(body, &reply);
    decode_copies(body);
    xfree(hello);
}

/* A header of 64 bytes and a body. */
static void
run_link(struct slice in)
{
    struct ship_header h;
    struct writer text;

    if (in.size < SHIP_HEADER_SIZE) {
        decode_bodies(in);
        return;
    }
    if (ship_header_decode(in.data, &h) == 0) {
        struct slice body = slice(in.data + SHIP_HEADER_SIZE, in.size - SHIP_HEADER_SIZE);

        CHECK(h.body_size <= ship_type_limit(h.type));
        (void)!ship_check(in.data, body);
        wr_init(&text, 0);
        ship_print(&h, body, &text);
        wr_fini(&text);
    }
    decode_bodies(slice(in.data + SHIP_HEADER_SIZE, in.size - SHIP_HEADER_SIZE));
}

static struct role_register
some_register(void)
{
    struct role_register r;

    register_init_first(&r, 99, "A", "host:7433", "host:5433");
    for (uint32_t i = 0; i < 3; i++) {
        struct register_member *m = &r.members[r.member_count++];

        m->id = r.next_member_id++;
        m->listed = i < 2;
        m->admitted = true;
        snprintf(m->name, sizeof m->name, "node%u", i);
        snprintf(m->guard, sizeof m->guard, "[::1]:%u", 7000 + i);
    }
    r.k = 1;
    r.mode = REGISTER_AVAILABILITY;
    r.key = (struct register_key){ 17, 4 };
    r.reign_id = 0xfeedface;
    r.synchronized = true;
    return r;
}

static void
give(struct fuzz_seeds *to, enum ship_type type, struct writer *body)
{
    uint8_t head[SHIP_HEADER_SIZE];
    struct writer w;

    wr_init(&w, 0);
    ship_header_encode(&(struct ship_header){ .type = type, .body_size = (uint32_t)body->size },
                       head);
    wr_bytes(&w, head, sizeof head);
    wr_slice(&w, wr_view(body));
    fuzz_seed(to, wr_view(&w));
    wr_fini(&w);
    wr_reset(body);
}

static void
seed_copies(struct fuzz_seeds *to, struct writer *w)
{
    struct ship_file file = { slice_str("segments/12.seg"), 4096, { 1, 2 } };

    ship_copy_begin_encode(w, &(struct ship_copy_begin){ 5, 1, slice_str("x") });
    give(to, SHIP_COPY_BEGIN, w);
    ship_copy_list_begin(w, 5, true, 2);
    ship_copy_list_add(w, &file);
    ship_copy_list_add(w, &file);
    give(to, SHIP_COPY_LIST, w);
    ship_file_get_encode(w, &(struct ship_file_get){ 5, 0, 4096, file.path });
    give(to, SHIP_FILE_GET, w);
    ship_file_chunk_encode(w, &(struct ship_file_chunk){ 5, 0, true, slice_str("bytes") });
    give(to, SHIP_FILE_CHUNK, w);
    ship_copy_end_encode(w, &(struct ship_copy_end){ 5, 0, slice_str("done") });
    give(to, SHIP_COPY_END, w);
}

static void
seed_link(struct fuzz_seeds *to)
{
    struct ship_hello *hello = xmalloc(sizeof *hello);
    struct writer w;

    memset(hello, 0, sizeof *hello);
    hello->reg = some_register();
    hello->lineage = slice("\1\0", 2);
    wr_init(&w, 0);
    ship_auth_hello_encode(&w, &(struct ship_auth_hello){ .kind = SHIP_PEER, .name = "A" });
    give(to, SHIP_AUTH_HELLO, &w);
    ship_hello_encode(&w, hello);
    give(to, SHIP_HELLO, &w);
    ship_goodbye_encode(&w, &(struct ship_goodbye){ 3, slice_str("why") });
    give(to, SHIP_GOODBYE, &w);
    ship_ack_encode(&w, &(struct ship_ack){ .inc = 3, .received = { 4096 } });
    give(to, SHIP_ACK, &w);
    ship_redo_request_encode(&w,
                             &(struct ship_redo_request){ .purpose = SHIP_REDO_FOLLOW, .inc = 2 });
    give(to, SHIP_REDO_REQUEST, &w);
    ship_redo_end_encode(&w, &(struct ship_redo_end){ .purpose = SHIP_REDO_GAP, .inc = 2 });
    give(to, SHIP_REDO_END, &w);
    ship_located_encode(&w, &(struct ship_located){ .found = true });
    give(to, SHIP_LOCATED, &w);
    ship_command_encode(&w, &(struct ship_command){
                                .count = 2, .words = { slice_str("switchover"), slice_str("B") } });
    give(to, SHIP_COMMAND, &w);
    ship_reply_encode(&w, &(struct ship_reply){ SHIP_REPLY_END, 0, slice_str("well") });
    give(to, SHIP_REPLY, &w);
    seed_copies(to, &w);
    wr_fini(&w);
    xfree(hello);
}

const struct fuzz_target fuzz_link = { "link", run_link, seed_link };

/* ---- messages of the failover protocol ------------------------------------------------------ */

/* A byte for the type, the body. What decodes is encoded as it was. */
static void
run_role_message(struct slice in)
{
    enum role_message_type type =
        (enum role_message_type)(ROLE_MSG_HEARTBEAT + fuzz_byte(&in) % 12);
    struct role_message *m = xmalloc(sizeof *m), *again = xmalloc(sizeof *again);
    struct writer w;

    wr_init(&w, 0);
    if (role_message_decode(type, in, m) == 0) {
        role_message_encode(&w, m);
        CHECK(role_message_decode(type, wr_view(&w), again) == 0);
        CHECK(slice_eq(wr_view(&w), in));
    }
    wr_fini(&w);
    xfree(m);
    xfree(again);
}

static void
seed_role_message(struct fuzz_seeds *to)
{
    struct role_message *m = xmalloc(sizeof *m);
    struct writer w;

    wr_init(&w, 0);
    for (int type = ROLE_MSG_HEARTBEAT; type <= ROLE_MSG_RELEASE; type++) {
        memset(m, 0, sizeof *m);
        m->type = (enum role_message_type)type;
        m->inc = 18;
        m->seq = 3;
        m->key = (struct register_key){ 17, 4 };
        m->of = ROLE_MSG_ASK;
        m->why = ROLE_WHY_PROMISED;
        m->reg = some_register();
        m->log.follows = 17;
        wr_reset(&w);
        wr_u8(&w, (uint8_t)(type - ROLE_MSG_HEARTBEAT));
        role_message_encode(&w, m);
        fuzz_seed(to, wr_view(&w));
    }
    wr_fini(&w);
    xfree(m);
}

const struct fuzz_target fuzz_role_message = { "role_message", run_role_message,
                                               seed_role_message };

/* ---- the register and what a node keeps ----------------------------------------------------- */

static void
mend_crc(uint8_t *bytes, size_t size)
{
    if (size >= 4)
        store_u32(bytes + size - 4, crc32c(0, bytes, size - 4));
}

/* A byte: mend the checksum or not; the register. SHIP-2: what decodes is consistent. */
static void
run_role_register(struct slice in)
{
    struct role_register *r = xmalloc(sizeof *r), *again = xmalloc(sizeof *again);
    bool mend = fuzz_byte(&in) & 1;
    uint8_t *bytes = xmalloc(in.size + 1);
    struct writer w;

    wr_init(&w, 0);
    if (in.size > 0)
        memcpy(bytes, in.data, in.size);
    if (mend)
        mend_crc(bytes, in.size);
    if (register_decode(slice(bytes, in.size), r) == 0) {
        register_encode(&w, r);
        CHECK(register_decode(wr_view(&w), again) == 0);
        for (uint32_t i = 0; i < r->member_count; i++)
            CHECK(register_member(r, r->members[i].id) == &r->members[i] &&
                  register_member_named(r, r->members[i].name) == &r->members[i]);
        (void)register_config_now(r);
        wr_reset(&w);
        register_print(r, &w);
    }
    wr_fini(&w);
    xfree(bytes);
    xfree(r);
    xfree(again);
}

static void
seed_role_register(struct fuzz_seeds *to)
{
    struct role_register r = some_register();
    struct writer w;

    wr_init(&w, 0);
    wr_u8(&w, 1);
    register_encode(&w, &r);
    fuzz_seed(to, wr_view(&w));
    wr_reset(&w);
    wr_u8(&w, 1);
    register_init_joining(&r, 99);
    register_encode(&w, &r);
    fuzz_seed(to, wr_view(&w));
    w.data[0] = 0;
    fuzz_seed(to, wr_view(&w));
    wr_fini(&w);
}

const struct fuzz_target fuzz_role_register = { "role_register", run_role_register,
                                                seed_role_register };

/* A byte: bytes as they are (0), with the checksum mended (1), or patches to a good state of which
 * the register's checksum is mended as well (2). */
static void
run_role_durable(struct slice in)
{
    struct role_durable *d = xmalloc(sizeof *d), *again = xmalloc(sizeof *again);
    uint8_t how = fuzz_byte(&in) % 3;
    struct writer w, reg;

    wr_init(&w, 0);
    wr_init(&reg, 0);
    if (how == 2) {
        role_durable_first(d, 99, "A", "g:1", "s:1");
        role_durable_encode(&w, d);
        register_encode(&reg, &d->reg);
        fuzz_patch(w.data, w.size, in);
        mend_crc(w.data + w.size - 4 - reg.size, reg.size);
    } else {
        wr_slice(&w, in);
    }
    if (how != 0)
        mend_crc(w.data, w.size);
    if (role_durable_decode(wr_view(&w), d) == 0) {
        wr_reset(&reg);
        role_durable_encode(&reg, d);
        CHECK(role_durable_decode(wr_view(&reg), again) == 0);
    }
    wr_fini(&w);
    wr_fini(&reg);
    xfree(d);
    xfree(again);
}

static void
seed_role_durable(struct fuzz_seeds *to)
{
    struct role_durable *d = xmalloc(sizeof *d);
    struct writer w;

    wr_init(&w, 0);
    role_durable_first(d, 99, "A", "g:1", "s:1");
    wr_u8(&w, 1);
    role_durable_encode(&w, d);
    fuzz_seed(to, wr_view(&w));
    w.data[0] = 0;
    fuzz_seed(to, wr_view(&w));
    wr_reset(&w);
    wr_u8(&w, 1);
    role_durable_joining(d, 99);
    role_durable_encode(&w, d);
    fuzz_seed(to, wr_view(&w));
    fuzz_seed(to, slice("\2\20\0\1\1\100\0\3\2", 9));
    wr_fini(&w);
    xfree(d);
}

const struct fuzz_target fuzz_role_durable = { "role_durable", run_role_durable,
                                               seed_role_durable };
