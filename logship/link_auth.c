/* Proving the key, on a connection that has just been made (LINK-3).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "logship/link_int.h"

#define MS ((uint64_t)1000000)

static struct ship_party
own_party(const struct link_hub *h)
{
    struct ship_party p = { .database_id = h->o.database_id,
                            .boot_id = h->o.boot_id,
                            .id = h->o.self };

    env_random(h->o.env, p.nonce, sizeof p.nonce);
    return p;
}

/* The next message must be of that type. A GOODBYE tells why the other side will not. */
static int
expect_type(struct link *l, uint64_t deadline, enum ship_type type, struct ship_header *head,
            struct slice *body)
{
    struct ship_goodbye bye;
    int rc = link_receive(l, deadline, head, body);

    if (rc == ERR_END)
        return DIAG(ERR_CONNECTION_FAILURE, "%s closed the connection", l->peer_address);
    if (rc != 0)
        return rc;
    if (head->type == SHIP_GOODBYE) {
        rc = ship_goodbye_decode(*body, &bye);
        if (rc == 0)
            rc = DIAG(bye.code != 0 ? bye.code : ERR_CONNECTION_FAILURE, "%s refuses: %.*s",
                      l->peer_address, (int)(bye.text.size < 300 ? bye.text.size : 300),
                      (const char *)bye.text.data);
        return rc;
    }
    if (head->type != type)
        return DIAG(ERR_PROTOCOL, "%s where %s was due", ship_type_name(head->type),
                    ship_type_name(type));
    return 0;
}

static int
send_now(struct link *l, uint64_t deadline, enum ship_type type, const struct writer *w)
{
    int rc = wr_finish(w);

    if (rc != 0)
        return rc;
    link_enqueue(l, type, wr_view(w));
    return link_write_out(l, deadline, 0);
}

static void
take_keys(struct link *l, const struct ship_transcript *t)
{
    enum ship_side own = l->accepted ? SHIP_ACCEPTOR : SHIP_INITIATOR;

    ship_auth_session(&l->hub->o.key, t, own, l->key_out);
    ship_auth_session(&l->hub->o.key, t, own == SHIP_ACCEPTOR ? SHIP_INITIATOR : SHIP_ACCEPTOR,
                      l->key_in);
    l->has_keys = true;
}

/* ---- the side that connects ----------------------------------------------------------------- */

static int
check_acceptor(const struct link *l, const struct ship_header *head, member_id_t expect)
{
    const struct link_options *o = &l->hub->o;

    if (o->database_id != 0 && head->database_id != o->database_id)
        return DIAG(ERR_INVALID_AUTHORIZATION, "%s is of another database", l->peer_address);
    if (expect != 0 && head->sender != expect)
        return DIAG(ERR_INVALID_AUTHORIZATION, "%s is member %u: member %u was expected there",
                    l->peer_address, head->sender, expect);
    return 0;
}

/* The other side answers the proof with a PING that carries its tag, or, still without one, says
 * why it will not. */
static int
first_reply(struct link *l, uint64_t deadline, const struct ship_transcript *t)
{
    struct ship_header head;
    struct slice body;
    int rc;

    take_keys(l, t);
    l->may_be_refused = true;
    rc = expect_type(l, deadline, SHIP_PING, &head, &body);
    l->may_be_refused = false;
    if (rc == 0)
        link_consume(l, &head);
    return rc;
}

static int
initiate(struct link *l, uint64_t deadline, member_id_t expect)
{
    struct ship_transcript t = { .kind = l->kind };
    struct ship_auth_hello hello = { .kind = l->kind };
    struct ship_auth_challenge challenge;
    uint8_t bytes[128], proof[SHIP_PROOF_SIZE];
    struct ship_header head;
    struct slice body;
    struct writer w;
    int rc;

    t.party[SHIP_INITIATOR] = own_party(l->hub);
    memcpy(hello.nonce, t.party[SHIP_INITIATOR].nonce, sizeof hello.nonce);
    snprintf(hello.name, sizeof hello.name, "%s", l->hub->o.name);
    wr_init_fixed(&w, bytes, sizeof bytes);
    ship_auth_hello_encode(&w, &hello);
    rc = send_now(l, deadline, SHIP_AUTH_HELLO, &w);
    if (rc == 0)
        rc = expect_type(l, deadline, SHIP_AUTH_CHALLENGE, &head, &body);
    if (rc == 0)
        rc = ship_auth_challenge_decode(body, &challenge);
    if (rc != 0)
        return rc;
    l->peer = (struct ship_party){ head.database_id, head.boot, head.sender, { 0 } };
    memcpy(l->peer.nonce, challenge.nonce, sizeof l->peer.nonce);
    t.party[SHIP_ACCEPTOR] = l->peer;
    link_consume(l, &head);
    if (!ship_auth_check(&l->hub->o.key, &t, SHIP_ACCEPTOR, challenge.proof))
        return DIAG(ERR_INVALID_AUTHORIZATION, "%s does not hold this cluster's key",
                    l->peer_address);
    rc = check_acceptor(l, &head, expect);
    if (rc != 0)
        return rc;
    ship_auth_prove(&l->hub->o.key, &t, SHIP_INITIATOR, proof);
    wr_reset(&w);
    wr_bytes(&w, proof, sizeof proof);
    rc = send_now(l, deadline, SHIP_AUTH_PROOF, &w);
    if (rc != 0)
        return rc;
    return first_reply(l, deadline, &t);
}

/* ---- the side that accepts ------------------------------------------------------------------ */

static int
check_initiator(const struct link *l, const struct ship_header *head)
{
    const struct link_options *o = &l->hub->o;

    if (l->hub->handlers[l->kind].on_message == NULL)
        return DIAG(ERR_NOT_SUPPORTED, "connections of that kind are not taken here");
    if (l->kind != SHIP_PEER)
        return 0;
    if (o->database_id == 0 || head->database_id != o->database_id)
        return DIAG(ERR_INVALID_AUTHORIZATION, "this is another database");
    if (head->sender == 0 || head->sender == o->self)
        return DIAG(ERR_INVALID_AUTHORIZATION, "member %u cannot be a peer of member %u",
                    head->sender, o->self);
    return 0;
}

static int
accept_proof(struct link *l, uint64_t deadline, const struct ship_transcript *t)
{
    struct ship_header head;
    struct slice body;
    int rc = expect_type(l, deadline, SHIP_AUTH_PROOF, &head, &body);

    if (rc != 0)
        return rc;
    if (body.size != SHIP_PROOF_SIZE ||
        !ship_auth_check(&l->hub->o.key, t, SHIP_INITIATOR, body.data))
        return DIAG(ERR_INVALID_AUTHORIZATION, "the cluster key was not proved");
    link_consume(l, &head);
    return 0;
}

static int
challenge(struct link *l, uint64_t deadline)
{
    struct ship_transcript t = { 0 };
    struct ship_auth_challenge c;
    struct ship_auth_hello hello;
    struct ship_header head;
    struct slice body;
    uint8_t bytes[128];
    struct writer w;
    int rc = expect_type(l, deadline, SHIP_AUTH_HELLO, &head, &body);

    if (rc == 0)
        rc = ship_auth_hello_decode(body, &hello);
    if (rc != 0)
        return rc;
    link_consume(l, &head);
    l->kind = t.kind = hello.kind;
    snprintf(l->peer_name, sizeof l->peer_name, "%s", hello.name);
    l->peer = (struct ship_party){ head.database_id, head.boot, head.sender, { 0 } };
    memcpy(l->peer.nonce, hello.nonce, sizeof hello.nonce);
    rc = check_initiator(l, &head);
    if (rc != 0)
        return rc;
    t.party[SHIP_INITIATOR] = l->peer;
    t.party[SHIP_ACCEPTOR] = own_party(l->hub);
    memcpy(c.nonce, t.party[SHIP_ACCEPTOR].nonce, sizeof c.nonce);
    ship_auth_prove(&l->hub->o.key, &t, SHIP_ACCEPTOR, c.proof);
    wr_init_fixed(&w, bytes, sizeof bytes);
    ship_auth_challenge_encode(&w, &c);
    rc = send_now(l, deadline, SHIP_AUTH_CHALLENGE, &w);
    if (rc == 0)
        rc = accept_proof(l, deadline, &t);
    if (rc != 0)
        return rc;
    take_keys(l, &t);
    wr_reset(&w);
    return send_now(l, deadline, SHIP_PING, &w);
}

/* Tells a peer that failed, if it still listens, and gives up. */
static void
refuse(struct link *l, int code)
{
    struct ship_goodbye bye = { .code = code, .text = slice_str(diag_last()->message) };
    struct diag saved = *diag_last();
    uint8_t bytes[512];
    struct writer w;

    wr_init_fixed(&w, bytes, sizeof bytes);
    ship_goodbye_encode(&w, &bye);
    if (!l->has_keys && !w.bad)
        (void)(send_now(l, env_boot_ns(l->hub->o.env) + 100 * MS, SHIP_GOODBYE, &w) != 0);
    diag_restore(&saved);
}

int
link_authenticate(struct link *l, member_id_t expect)
{
    uint64_t deadline = env_boot_ns(l->hub->o.env) + l->hub->o.auth_timeout_ms * MS;
    int rc;

    l->reader = fiber_self();
    rc = l->accepted ? challenge(l, deadline) : initiate(l, deadline, expect);
    l->reader = NULL;
    if (rc != 0 && l->accepted && rc != ERR_CONNECTION_FAILURE && rc != ERR_STOPPED)
        refuse(l, rc);
    return rc;
}
