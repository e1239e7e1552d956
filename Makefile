# Redoubt. Two commands do everything: `make demo` and `make check`.
#   make [release|debug|asan|tsan]   build bin/redoubtd, bin/redoubt (release) or a profile's tree
#   make unit PROFILE=asan           build and run the unit tests of a profile (TEST=name for one)
#   make check-kills, check-seeds, fuzz, bench   longer runs, by hand
#   make tidy | format               the checks of style and structure | clang-format in place
PROFILE ?= release
CC      ?= gcc
B       := build/$(PROFILE)

WARN := -Wall -Wextra -Wconversion -Wcast-qual -Wshadow -Wstrict-prototypes -Werror \
        -Wno-format-truncation
CFLAGS_release := -O2 -g -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
CFLAGS_debug   := -Og -g -DRD_DEBUG=1
CFLAGS_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
                  -fno-sanitize-recover=undefined -Wno-maybe-uninitialized -DRD_DEBUG=1
# gcc says itself that maybe-uninitialized misjudges what the sanitizers add.
CFLAGS_tsan    := -O1 -g -fsanitize=thread -Wno-maybe-uninitialized -DRD_DEBUG=1
# clang, whose warnings are not asked for; it has another name for what gcc defines.
CFLAGS_fuzz    := -O1 -g -w -fsanitize=address,undefined,fuzzer-no-link \
                  -fno-sanitize-recover=undefined -D__SANITIZE_ADDRESS__=1 -DRD_DEBUG=1
LDFLAGS_asan   := -fsanitize=address,undefined
LDFLAGS_tsan   := -fsanitize=thread
LDFLAGS_fuzz   := -fsanitize=address,undefined

ALL_CFLAGS := -std=c11 -D_GNU_SOURCE -I. -I$(B)/gen $(WARN) $(CFLAGS_$(PROFILE)) $(CFLAGS)
ALL_LDFLAGS := $(LDFLAGS_$(PROFILE)) $(LDFLAGS)
LIBS := -levent_core -levent_pthreads -lssl -lcrypto -llz4 -lzstd -lyaml -lxxhash -lpthread -lm
# Check brings its own threads and timers.
TEST_LIBS := -lcheck -lsubunit -lrt

ROOMS_ENGINE_KV := engine/base engine/redo engine/lsm engine/undo engine/txn
ROOMS := $(ROOMS_ENGINE_KV) engine/types engine/catalog engine/sql engine/server \
         logship primary standby backup conf node
MAINS := node/redoubtd.c node/redoubt.c

SRC_KV  := $(foreach r,$(ROOMS_ENGINE_KV),$(wildcard $(r)/*.c $(r)/*.S))
SRC     := $(filter-out $(MAINS),$(foreach r,$(ROOMS),$(wildcard $(r)/*.c $(r)/*.S)))
obj      = $(patsubst %,$(B)/%.o,$(basename $(1)))
GEN_OBJ := $(if $(wildcard engine/sql/grammar.y),$(B)/gen/engine/sql/grammar.o) \
           $(if $(wildcard engine/sql/lexer.l),$(B)/gen/engine/sql/lexer.o)

BINS    := $(patsubst node/%.c,bin/%,$(wildcard $(MAINS)))
BENCHES := $(patsubst bench/%.c,$(B)/bench/%,$(wildcard bench/*.c))
UNITS   := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c))
SIMS    := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/sim/test_*.c))
CRASHES := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/crash/test_*.c))

.PHONY: all release debug asan tsan build unit demo check clean tidy format deps tests units bench
.SECONDARY:
.DEFAULT_GOAL := release
include scripts/targets.mk

release debug asan tsan:
	@$(MAKE) --no-print-directory build PROFILE=$@

build: $(B)/libredoubt.a $(B)/libredoubt-engine.a $(if $(filter release,$(PROFILE)),$(BINS)) \
       $(patsubst node/%.c,$(B)/node/%,$(wildcard $(MAINS)))

$(B)/libredoubt-engine.a: $(call obj,$(SRC_KV))
	@rm -f $@ && ar rcs $@ $^
$(B)/libredoubt.a: $(call obj,$(SRC)) $(GEN_OBJ)
	@rm -f $@ && ar rcs $@ $^

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@
$(B)/%.o: %.S
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# The parser is generated out of tree; what bison and flex write is not held to our warnings.
GEN_CFLAGS = $(filter-out -Wconversion -Wcast-qual -Wshadow,$(ALL_CFLAGS)) -Wno-sign-compare \
             -Wno-unused-function -Wno-unused-but-set-variable
# What clang would take minutes to optimize.
GEN_CFLAGS += $(if $(filter fuzz,$(PROFILE)),-O0 -fno-sanitize=undefined)
$(B)/gen/engine/sql/grammar.c $(B)/gen/engine/sql/grammar.h: engine/sql/grammar.y
	@mkdir -p $(@D)
	$(Q)bison -Wno-other --defines=$(B)/gen/engine/sql/grammar.h -o $(B)/gen/engine/sql/grammar.c $<
$(B)/gen/engine/sql/lexer.c: engine/sql/lexer.l $(B)/gen/engine/sql/grammar.h
	@mkdir -p $(@D)
	$(Q)flex -o $@ $<
$(B)/gen/%.o: $(B)/gen/%.c
	$(Q)$(CC) $(GEN_CFLAGS) -MMD -MP -c $< -o $@
$(call obj,$(wildcard engine/sql/*.c)): | $(if $(GEN_OBJ),$(B)/gen/engine/sql/grammar.h)

$(B)/node/%: $(B)/node/%.o $(B)/libredoubt.a
	$(Q)$(CC) $(ALL_LDFLAGS) $^ $(LIBS) -o $@
bin/%: build/release/node/%
	@mkdir -p bin && cp --remove-destination $< $@
# A test links the whole library; helpers shared by tests live in tests/support.
TEST_OBJ := $(call obj,$(wildcard tests/support/*.c))
$(B)/tests/%: $(B)/tests/%.o $(TEST_OBJ) $(B)/libredoubt.a
	$(Q)$(CC) $(ALL_LDFLAGS) $(filter %.o,$^) $(B)/libredoubt.a $(TEST_LIBS) $(LIBS) -o $@
# The engine as a library: the archive that ends with engine/txn, and what that needs, no more.
ENGINE_LIBS := -levent_core -levent_pthreads -lcrypto -llz4 -lzstd -lxxhash -lpthread
$(B)/tests/unit/test_library: $(B)/tests/unit/test_library.o $(B)/libredoubt-engine.a
	$(Q)$(CC) $(ALL_LDFLAGS) $^ $(ENGINE_LIBS) -o $@
# Fuzz targets, in a unit test that replays them and in libFuzzer's program.
FUZZ_OBJ := $(call obj,$(filter-out tests/fuzz/fuzz_main.c,$(wildcard tests/fuzz/*.c)))
$(B)/tests/unit/test_fuzz: $(FUZZ_OBJ)
$(B)/tests/fuzz/fuzz_main: $(FUZZ_OBJ)
$(B)/tests/fuzz/fuzz_main: ALL_LDFLAGS += -fsanitize=fuzzer
$(B)/bench/%: $(B)/bench/%.o $(B)/libredoubt.a
	$(Q)$(CC) $(ALL_LDFLAGS) $^ $(LIBS) -o $@

units: $(UNITS)
tests: $(UNITS) $(SIMS) $(CRASHES)
bench: $(BENCHES)

# One test's failure does not hide another's.
unit: $(if $(TEST),$(B)/tests/unit/test_$(TEST),$(UNITS))
	@scripts/run-tests $^
tidy:
	@scripts/tidy
format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i
clean:
	rm -rf build bin

Q := $(if $(V),,@)
-include $(shell find $(B) -name '*.d' 2>/dev/null)
