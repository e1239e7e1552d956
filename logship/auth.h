/* Who holds the cluster key: a mutual challenge and response, and the keys of a session.
 *
 * The key is 32 random bytes in the file cluster.key (64 hexadecimal digits and a line break, mode
 * 0600). It is never on the wire:
 *
 *   initiator -> acceptor  AUTH_HELLO      kind, nonce i
 *   acceptor -> initiator  AUTH_CHALLENGE  nonce a, HMAC-SHA256(key, "acceptor" . transcript)
 *   initiator -> acceptor  AUTH_PROOF      HMAC-SHA256(key, "initiator" . transcript)
 *
 * transcript: version | kind | nonce i | nonce a | of each side: database id, member id, boot id.
 * The labels keep a proof from being reflected; the nonces keep it from being replayed. The session
 * has one key for each direction, HMAC-SHA256(key, label . transcript), cut to 16 bytes, with which
 * every message from then on carries a tag: AES-128-GMAC over header and body, its nonce the
 * message's sequence number. So nobody without the key can speak, change, repeat, reorder or leave
 * out a message of a connection; who listens on the wire reads along (TLS will mend that).
 *
 * Secrets are compared in constant time. A peer has 10 KiB and a deadline to prove itself.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef LOGSHIP_AUTH_H
#define LOGSHIP_AUTH_H

#include "engine/base/env.h"
#include "logship/message.h"

enum {
    SHIP_KEY_SIZE = 32,
    SHIP_SESSION_KEY_SIZE = 16,
    SHIP_BYTES_BEFORE_AUTH = 10 << 10,
};

struct ship_key {
    uint8_t bytes[SHIP_KEY_SIZE];
};
void ship_key_generate(struct env *env, struct ship_key *key);
/* The file must not be there. ERR_FILE_EXISTS, ERR_IO. Durable, mode 0600. */
MUST_CHECK
int ship_key_write(struct env *env, const char *path, const struct ship_key *key);
/* ERR_NO_FILE, ERR_CONFIG_FILE for contents that are not a key. */
MUST_CHECK
int ship_key_read(struct env *env, const char *path, struct ship_key *key);

enum ship_side { SHIP_INITIATOR, SHIP_ACCEPTOR };
struct ship_party {
    uint64_t database_id, boot_id;
    member_id_t id;
    uint8_t nonce[SHIP_NONCE_SIZE];
};
struct ship_transcript {
    enum ship_kind kind;
    struct ship_party party[2]; /* by enum ship_side */
};
/* What `side` has to show. */
void ship_auth_prove(const struct ship_key *key, const struct ship_transcript *t,
                     enum ship_side side, uint8_t proof[SHIP_PROOF_SIZE]);
bool ship_auth_check(const struct ship_key *key, const struct ship_transcript *t,
                     enum ship_side side, const uint8_t proof[SHIP_PROOF_SIZE]);
/* The key with which `side` signs what it sends. */
void ship_auth_session(const struct ship_key *key, const struct ship_transcript *t,
                       enum ship_side side, uint8_t session[SHIP_SESSION_KEY_SIZE]);

/* The tag of one message: its encoded header (without the tag) and a body in two parts. */
void ship_tag(const uint8_t session[SHIP_SESSION_KEY_SIZE], uint64_t seq,
              const uint8_t header[SHIP_HEADER_SIZE], struct slice body, struct slice more,
              uint8_t tag[SHIP_TAG_SIZE]);
bool ship_tag_check(const uint8_t session[SHIP_SESSION_KEY_SIZE], uint64_t seq,
                    const uint8_t header[SHIP_HEADER_SIZE], struct slice body);

#endif
