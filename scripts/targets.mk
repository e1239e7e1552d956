# The targets that run things: dependencies, the demo, the whole check.
deps:
	@scripts/deps

check: deps
	@$(MAKE) --no-print-directory tidy
	@$(MAKE) --no-print-directory unit PROFILE=asan
