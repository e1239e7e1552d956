/* The cluster key: its file, the proofs, the tags.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/task.h"
#include "logship/auth.h"

static struct env *env;

static struct ship_transcript
some_transcript(void)
{
    struct ship_transcript t = { .kind = SHIP_PEER };

    for (int i = 0; i < 2; i++) {
        t.party[i].database_id = 7;
        t.party[i].boot_id = 100 + (uint64_t)i;
        t.party[i].id = 1 + (member_id_t)i;
        env_random(env, t.party[i].nonce, sizeof t.party[i].nonce);
    }
    return t;
}

START_TEST(test_key_file)
{
    char dir[] = "/tmp/test_ship_auth.XXXXXX", path[64];
    struct ship_key key, back;
    struct stat st;
    FILE *f;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/cluster.key", dir);
    ck_assert_int_eq(ship_key_read(env, path, &back), ERR_NO_FILE);
    ship_key_generate(env, &key);
    ck_assert_int_eq(ship_key_write(env, path, &key), 0);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(ship_key_read(env, path, &back), 0);
    ck_assert_mem_eq(&key, &back, sizeof key);
    ck_assert_int_eq(ship_key_write(env, path, &key), ERR_FILE_EXISTS);
    for (int i = 0; i < 3; i++) { /* too short, not hexadecimal, too long */
        f = fopen(path, "w");
        ck_assert_ptr_nonnull(f);
        for (int k = 0; k < (i == 0 ? 63 : i == 1 ? 64 : 65); k++)
            fputc(i == 1 && k == 40 ? 'g' : 'a', f);
        fputc('\n', f);
        fclose(f);
        ck_assert_int_eq(ship_key_read(env, path, &back), ERR_CONFIG_FILE);
    }
    unlink(path);
    rmdir(dir);
}
END_TEST

/* AUTH-1: whatever is changed in what both sides say, or in the key, makes the proof worthless. */
START_TEST(test_proofs)
{
    struct ship_transcript t = some_transcript(), other;
    struct ship_key key, wrong;
    uint8_t proof[SHIP_PROOF_SIZE];

    ship_key_generate(env, &key);
    ship_auth_prove(&key, &t, SHIP_INITIATOR, proof);
    ck_assert(ship_auth_check(&key, &t, SHIP_INITIATOR, proof));
    ck_assert(!ship_auth_check(&key, &t, SHIP_ACCEPTOR, proof)); /* reflected */
    wrong = key;
    wrong.bytes[31] ^= 1;
    ck_assert(!ship_auth_check(&wrong, &t, SHIP_INITIATOR, proof));
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < 4; i++) {
            other = t;
            if (i == 0)
                other.party[side].nonce[5] ^= 1; /* replayed */
            else if (i == 1)
                other.party[side].id++;
            else if (i == 2)
                other.party[side].boot_id++;
            else
                other.party[side].database_id++;
            ck_assert(!ship_auth_check(&key, &other, SHIP_INITIATOR, proof));
        }
    }
    other = t;
    other.kind = SHIP_COMMAND_LINE;
    ck_assert(!ship_auth_check(&key, &other, SHIP_INITIATOR, proof));
    for (int i = 0; i < SHIP_PROOF_SIZE * 8; i++) {
        proof[i / 8] ^= (uint8_t)(1 << i % 8);
        ck_assert(!ship_auth_check(&key, &t, SHIP_INITIATOR, proof));
        proof[i / 8] ^= (uint8_t)(1 << i % 8);
    }
}
END_TEST

/* AUTH-2 */
START_TEST(test_tags)
{
    struct ship_transcript t = some_transcript();
    struct ship_key key;
    uint8_t in[SHIP_SESSION_KEY_SIZE], out[SHIP_SESSION_KEY_SIZE];
    struct ship_header h = { .type = SHIP_REDO, .body_size = 100, .seq = 3 };
    uint8_t header[SHIP_HEADER_SIZE], body[100];
    struct slice b = { body, sizeof body };

    ship_key_generate(env, &key);
    ship_auth_session(&key, &t, SHIP_INITIATOR, out);
    ship_auth_session(&key, &t, SHIP_ACCEPTOR, in);
    ck_assert(memcmp(in, out, sizeof in) != 0);
    memset(body, 5, sizeof body);
    ship_header_encode(&h, header);
    /* The same message, in one part or in two. */
    ship_tag(out, 3, header, slice(body, 20), slice(body + 20, 80), h.tag);
    ship_header_encode(&h, header);
    ck_assert(ship_tag_check(out, 3, header, b));
    ck_assert(!ship_tag_check(out, 4, header, b)); /* repeated, or out of its place */
    ck_assert(!ship_tag_check(in, 3, header, b));  /* of the other direction */
    for (size_t i = 0; i < (SHIP_HEADER_SIZE + sizeof body) * 8; i += 7) {
        uint8_t *byte = i / 8 < SHIP_HEADER_SIZE ? &header[i / 8] : &body[i / 8 - SHIP_HEADER_SIZE];

        *byte ^= (uint8_t)(1 << i % 8);
        ck_assert(!ship_tag_check(out, 3, header, b));
        *byte ^= (uint8_t)(1 << i % 8);
    }
    ck_assert(ship_tag_check(out, 3, header, b));
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("ship_auth");
    TCase *t = tcase_create("ship_auth");
    SRunner *r;
    int failed;

    env = env_posix_new();
    tcase_add_test(t, test_key_file);
    tcase_add_test(t, test_proofs);
    tcase_add_test(t, test_tags);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    env_free(env);
    return failed != 0;
}
