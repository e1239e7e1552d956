/* Messages on the guard port: between nodes, and from the command line. A header of fixed size,
 * then a body whose largest size depends on the type and is checked before anything is allocated.
 *
 *   off size
 *     0  4  magic "RDSH"
 *     4  1  protocol version, 1
 *     5  1  type
 *     6  2  zero
 *     8  4  size of the body
 *    12  4  CRC-32C over bytes [0, 12), [16, 48) and the body
 *    16  8  sequence number of the message on this connection and in this direction, from 0
 *    24  8  database id; 0: not known yet (a joining node, a command)
 *    32  4  sender, a member id; 0: a command or a joining node
 *    36  4  zero
 *    40  8  boot id of the sender's process
 *    48 16  authentication tag over bytes [0, 48) and the body (auth.h); zero until both sides have
 *           proved that they hold the cluster key
 *    64     body
 *
 * All integers are little-endian. Decoders are total: any bytes give a value or an error. Slices in
 * decoded messages point into the body. Types are never reused; a type that is not known ends the
 * connection (ERR_PROTOCOL), since both sides speak one version.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef LOGSHIP_MESSAGE_H
#define LOGSHIP_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/checksum.h"
#include "engine/base/id.h"
#include "engine/redo/frame.h"
#include "logship/role_message.h"

enum {
    SHIP_HEADER_SIZE = 64,
    SHIP_VERSION = 1,
    SHIP_TAG_SIZE = 16,
    SHIP_OFF_TAG = 48,
    SHIP_NONCE_SIZE = 32,
    SHIP_PROOF_SIZE = 32,
    SHIP_NAME_MAX = 64,
    SHIP_REDO_ENVELOPE = 20,
    SHIP_CHUNK_MAX = 1 << 20,
    SHIP_PATH_MAX = 512,
    SHIP_ARGS_MAX = 64,
    SHIP_BODY_MAX = 2 << 20, /* no type's limit is higher */
};

/* X(name, number, largest body). Numbers 16 to 26 are those of enum role_message_type. */
#define SHIP_TYPE_LIST(X)                                                                          \
    X(AUTH_HELLO, 1, 128)                                                                          \
    X(AUTH_CHALLENGE, 2, 128)                                                                      \
    X(AUTH_PROOF, 3, 128)                                                                          \
    X(GOODBYE, 4, 1024)  /* why the connection ends; also before authentication */                 \
    X(PING, 5, 16)       /* keeps the line alive in both directions */                             \
    X(HELLO, 8, 1 << 20) /* the first message of a peer, either way */                             \
    X(HEARTBEAT, 16, 64)                                                                           \
    X(GRANT, 17, 64)                                                                               \
    X(REFUSE, 18, REGISTER_BYTES_MAX + 64)                                                         \
    X(RECORD, 19, REGISTER_BYTES_MAX + 64)                                                         \
    X(RECORDED, 20, 64)                                                                            \
    X(CANVASS, 21, REGISTER_BYTES_MAX + 128)                                                       \
    X(OPINION, 22, REGISTER_BYTES_MAX + 128)                                                       \
    X(ASK, 23, 64)                                                                                 \
    X(PROMISE, 24, REGISTER_BYTES_MAX + 128)                                                       \
    X(STAND, 25, 64)                                                                               \
    X(RELEASE, 26, 64)                                                                             \
    X(REDO, 32, SHIP_REDO_ENVELOPE + REDO_FRAME_BYTES_MAX)                                         \
    X(ACK, 33, 64)                                                                                 \
    X(POINTER, 34, 32)                                                                             \
    X(REDO_REQUEST, 35, 64) /* from where frames are wanted: to follow, for a gap, a tail */       \
    X(REDO_END, 36, 1024)   /* no more frames for that request, and why */                         \
    X(LOCATE, 37, 32)       /* the last frame end at or below a position, with its chain */        \
    X(LOCATED, 38, 64)                                                                             \
    X(COPY_BEGIN, 48, 4096) /* base copy, backup: pins what belongs to it */                       \
    X(COPY_LIST, 49, 1 << 20)                                                                      \
    X(FILE_GET, 50, SHIP_PATH_MAX + 64)                                                            \
    X(FILE_CHUNK, 51, SHIP_CHUNK_MAX + 64)                                                         \
    X(COPY_END, 52, 1024)                                                                          \
    X(COMMAND, 64, 64 << 10)                                                                       \
    X(REPLY, 65, 1 << 20)

enum ship_type {
#define SHIP_TYPE_ENUM(name, number, limit) SHIP_##name = number,
    SHIP_TYPE_LIST(SHIP_TYPE_ENUM)
#undef SHIP_TYPE_ENUM
};
const char *ship_type_name(enum ship_type type); /* "type 99" is "?" */
uint32_t ship_type_limit(enum ship_type type);   /* 0 for an unknown type */

struct ship_header {
    enum ship_type type;
    uint32_t body_size;
    uint32_t crc;
    uint64_t seq;
    uint64_t database_id;
    member_id_t sender;
    uint64_t boot;
    uint8_t tag[SHIP_TAG_SIZE];
};
/* Magic, version, zeros, type and size are checked; checksum and tag are not. ERR_PROTOCOL,
 * ERR_NOT_SUPPORTED (version), ERR_LIMIT (size). */
MUST_CHECK
int ship_header_decode(const uint8_t bytes[SHIP_HEADER_SIZE], struct ship_header *out);
/* Writes all but checksum and tag, which ship_header_seal adds. */
void ship_header_encode(const struct ship_header *h, uint8_t bytes[SHIP_HEADER_SIZE]);
/* The checksum over the encoded header and a body in two parts (the second may be empty). */
uint32_t ship_checksum(const uint8_t header[SHIP_HEADER_SIZE], struct slice body,
                       struct slice more);
/* ERR_CORRUPT when the checksum is wrong. */
MUST_CHECK
int ship_check(const uint8_t header[SHIP_HEADER_SIZE], struct slice body);

/* ---- before authentication ------------------------------------------------------------------ */

enum ship_kind {
    SHIP_PEER = 1, /* a member of the configuration */
    SHIP_COMMAND_LINE = 2,
    SHIP_JOINING = 3, /* a node that copies the database, or a restore from a live member */
};
/* u8 kind | 32 nonce | u8 name size, name */
struct ship_auth_hello {
    enum ship_kind kind;
    uint8_t nonce[SHIP_NONCE_SIZE];
    char name[SHIP_NAME_MAX]; /* for the log */
};
/* CHALLENGE: 32 nonce | 32 proof. PROOF: 32 proof. */
struct ship_auth_challenge {
    uint8_t nonce[SHIP_NONCE_SIZE];
    uint8_t proof[SHIP_PROOF_SIZE];
};
void ship_auth_hello_encode(struct writer *w, const struct ship_auth_hello *m);
MUST_CHECK
int ship_auth_hello_decode(struct slice body, struct ship_auth_hello *out);
void ship_auth_challenge_encode(struct writer *w, const struct ship_auth_challenge *m);
MUST_CHECK
int ship_auth_challenge_decode(struct slice body, struct ship_auth_challenge *out);

/* u32 code (as a positive number) | the rest: text */
struct ship_goodbye {
    int code;
    struct slice text;
};
void ship_goodbye_encode(struct writer *w, const struct ship_goodbye *m);
MUST_CHECK
int ship_goodbye_decode(struct slice body, struct ship_goodbye *out);

/* ---- peers ---------------------------------------------------------------------------------- */

/* u32 promised | log (role_message.h) | u64 published SCN | u32 size, register | u32 size, lineage
 */
struct ship_hello {
    incarnation_t promised;
    struct role_log log;
    scn_t published_scn;
    struct role_register reg;
    struct slice lineage; /* engine/redo/lineage.h decodes it */
};
void ship_hello_encode(struct writer *w, const struct ship_hello *m);
MUST_CHECK
int ship_hello_decode(struct slice body, struct ship_hello *out);

/* A frame in its envelope: u32 incarnation of the reign that sends | u64 published SCN | u64
 * published LSN | the sealed frame as it is (engine/redo/frame.h). */
struct ship_redo {
    incarnation_t inc;
    scn_t published_scn;
    struct lsn published;
    struct slice frame;
};
void ship_redo_envelope(uint8_t bytes[SHIP_REDO_ENVELOPE], const struct ship_redo *m);
MUST_CHECK
int ship_redo_decode(struct slice body, struct ship_redo *out);

/* u32 inc | u64 received, durable, applied LSN | u64 applied SCN | 16 chain at received */
struct ship_ack {
    incarnation_t inc;
    struct lsn received, durable, applied;
    scn_t applied_scn;
    struct hash128 chain;
};
void ship_ack_encode(struct writer *w, const struct ship_ack *m);
MUST_CHECK
int ship_ack_decode(struct slice body, struct ship_ack *out);

/* u32 inc | u64 published SCN | u64 published LSN */
struct ship_pointer {
    incarnation_t inc;
    scn_t published_scn;
    struct lsn published;
};
void ship_pointer_encode(struct writer *w, const struct ship_pointer *m);
MUST_CHECK
int ship_pointer_decode(struct slice body, struct ship_pointer *out);

/* A position in redo, with the chain there: u32 inc | u64 LSN | u64 SCN | u64 time us | 16 chain */
struct ship_pos {
    incarnation_t inc;
    struct lsn lsn;
    scn_t scn;
    uint64_t time_us;
    struct hash128 chain;
};

enum ship_redo_purpose {
    SHIP_REDO_FOLLOW = 1, /* from there on, live, in the reign `inc` */
    SHIP_REDO_GAP = 2,    /* [from, until) of the way to `inc` */
    SHIP_REDO_TAIL = 3,   /* for the candidate that was promised `inc`: to the end of the log */
};
/* u8 purpose | u32 inc | u64 until | position */
struct ship_redo_request {
    enum ship_redo_purpose purpose;
    incarnation_t inc;
    struct lsn until; /* GAP only */
    struct ship_pos from;
};
void ship_redo_request_encode(struct writer *w, const struct ship_redo_request *m);
MUST_CHECK
int ship_redo_request_decode(struct slice body, struct ship_redo_request *out);

/* u8 purpose | u32 inc | u32 code (positive; 0: all was sent) | u64 LSN | the rest: text */
struct ship_redo_end {
    enum ship_redo_purpose purpose;
    incarnation_t inc;
    int code;
    struct lsn lsn;
    struct slice text;
};
void ship_redo_end_encode(struct writer *w, const struct ship_redo_end *m);
MUST_CHECK
int ship_redo_end_decode(struct slice body, struct ship_redo_end *out);

/* LOCATE: u32 inc | u64 LSN. LOCATED: u32 inc, u64 LSN as asked | u8 found | position */
struct ship_locate {
    incarnation_t inc;
    struct lsn lsn;
};
struct ship_located {
    struct ship_locate asked;
    bool found; /* false: redo that far back is not held */
    struct ship_pos pos;
};
void ship_locate_encode(struct writer *w, const struct ship_locate *m);
MUST_CHECK
int ship_locate_decode(struct slice body, struct ship_locate *out);
void ship_located_encode(struct writer *w, const struct ship_located *m);
MUST_CHECK
int ship_located_decode(struct slice body, struct ship_located *out);

/* ---- files ---------------------------------------------------------------------------------- */

/* COPY_BEGIN: u64 copy id (chosen by who asks) | u8 kind | the rest: arguments of that kind */
struct ship_copy_begin {
    uint64_t copy;
    uint8_t kind;
    struct slice args;
};
void ship_copy_begin_encode(struct writer *w, const struct ship_copy_begin *m);
MUST_CHECK
int ship_copy_begin_decode(struct slice body, struct ship_copy_begin *out);

/* COPY_LIST: u64 copy | u8 last | varint count | files, each: varint size, path | u64 size | 16
 * hash. ship_copy_list_next gives one after the other; ERR_END behind the last. Paths are relative,
 * of plain components: no empty one, no "." or "..", no NUL. */
struct ship_file {
    struct slice path;
    uint64_t size;
    struct hash128 hash; /* zero: not known */
};
struct ship_copy_list {
    uint64_t copy;
    bool last;
    uint32_t count;
    struct reader files;
};
void ship_copy_list_begin(struct writer *w, uint64_t copy, bool last, uint32_t count);
void ship_copy_list_add(struct writer *w, const struct ship_file *f);
MUST_CHECK
int ship_copy_list_decode(struct slice body, struct ship_copy_list *out);
MUST_CHECK
int ship_copy_list_next(struct ship_copy_list *l, struct ship_file *out);
bool ship_path_is_plain(struct slice path);

/* FILE_GET: u64 copy | u64 offset | u64 size (0: to the end) | the rest: path */
struct ship_file_get {
    uint64_t copy, offset, size;
    struct slice path;
};
void ship_file_get_encode(struct writer *w, const struct ship_file_get *m);
MUST_CHECK
int ship_file_get_decode(struct slice body, struct ship_file_get *out);

/* FILE_CHUNK: u64 copy | u64 offset | u8 last of what was asked | the rest: bytes */
struct ship_file_chunk {
    uint64_t copy, offset;
    bool last;
    struct slice bytes;
};
void ship_file_chunk_encode(struct writer *w, const struct ship_file_chunk *m);
MUST_CHECK
int ship_file_chunk_decode(struct slice body, struct ship_file_chunk *out);

/* COPY_END, either way: u64 copy | u32 code (positive; 0: complete) | the rest: text */
struct ship_copy_end {
    uint64_t copy;
    int code;
    struct slice text;
};
void ship_copy_end_encode(struct writer *w, const struct ship_copy_end *m);
MUST_CHECK
int ship_copy_end_decode(struct slice body, struct ship_copy_end *out);

/* ---- commands ------------------------------------------------------------------------------- */

/* COMMAND: u8 count | words, each: varint size, bytes. "switchover", "B". */
struct ship_command {
    uint32_t count;
    struct slice words[SHIP_ARGS_MAX];
};
void ship_command_encode(struct writer *w, const struct ship_command *m);
MUST_CHECK
int ship_command_decode(struct slice body, struct ship_command *out);

/* REPLY: u8 what | u32 code (positive; 0: well) | the rest: text. A command is answered by any
 * number of PROGRESS and TEXT and one END; the text of END with a code is message, detail and hint,
 * a line each. */
enum ship_reply_what { SHIP_REPLY_PROGRESS = 1, SHIP_REPLY_TEXT = 2, SHIP_REPLY_END = 3 };
struct ship_reply {
    enum ship_reply_what what;
    int code;
    struct slice text;
};
void ship_reply_encode(struct writer *w, const struct ship_reply *m);
MUST_CHECK
int ship_reply_decode(struct slice body, struct ship_reply *out);

/* One line in words, for traces. NUL-terminated. */
void ship_print(const struct ship_header *h, struct slice body, struct writer *out);

#endif
