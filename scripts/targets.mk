# The targets that run things: dependencies, the demonstration, the whole check, longer runs.
deps:
	@scripts/deps

check: deps
	@scripts/check

demo: deps
	@$(MAKE) -s -j$$(nproc) --no-print-directory build PROFILE=release
	@scripts/demo

# Longer runs, by hand: many kills, many seeds.
.PHONY: check-kills check-seeds check-faults
check-kills: deps
	@$(MAKE) -s -j$$(nproc) --no-print-directory tests PROFILE=release
	KILLS=200 build/release/tests/crash/test_kill
check-seeds: deps
	@$(MAKE) -s -j$$(nproc) --no-print-directory tests PROFILE=release
	TEST_TIMEOUT=36000 SIM_SEEDS=2000 scripts/run-tests $$(find build/release/tests/sim -name 'test_*' -perm -u+x)

# A fault at each operation of the disk, none left out.
check-faults: deps
	@$(MAKE) -s -j$$(nproc) --no-print-directory tests PROFILE=release
	FAULTS_STEP=1 build/release/tests/sim/test_engine_faults

# libFuzzer over every decoder: FUZZ_SECONDS for each (60), FUZZ_TARGET for one alone.
.PHONY: fuzz
fuzz:
	@scripts/deps fuzz
	@scripts/fuzz

# Lossy disks: each test cuts the power at every operation.
.PHONY: crash
crash: $(CRASHES)
	@scripts/run-tests $^

# Random SQL, answered by Redoubt and by PostgreSQL: SQL_SECONDS of it, from SQL_SEED on (one is printed).
.PHONY: check-sql
check-sql: deps
	@$(MAKE) -s -j$$(nproc) --no-print-directory build PROFILE=release
	tests/cluster/compare_sql.py $(or $(SQL_SECONDS),120) $(SQL_SEED)
