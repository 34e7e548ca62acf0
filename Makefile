# gatewayd and gwctl: one non-recursive Makefile. `make help` lists the targets.
#
# A new .c file under src/, gatewayd/, gwctl/, tests/unit/ or tests/node/, a migration or a letter, needs no
# edit here, nor does one that goes.
# Variants live side by side: `make V=asan`, `make V=tsan`, `make V=cov`. Only the default variant
# builds into bin/; the others build into build/$(V)/bin.

V       ?= release
B       := build/$(V)
BIN     := $(if $(filter release,$(V)),bin,$(B)/bin)
DESTDIR ?=
PREFIX  ?= /usr/local
ifeq ($(origin CC),default)
CC      := gcc
endif
CFLAGS  ?= -O2 -g
PY      ?= /usr/bin/python3
JOBS    ?= $(shell nproc)

PKGS := libnghttp2 gnutls nettle hogweed gmp sqlite3 libcurl jansson libprotobuf-c yaml-0.1 \
        liboath libqrencode libsodium libargon2
LIBS  = $(shell pkg-config --libs $(PKGS)) -lnats -lscrypt -lunistring -lzxcvbn -lm -pthread
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla \
        -Wno-missing-field-initializers $(if $(CI),-Werror)
HARD := -fstack-protector-strong -fno-strict-aliasing -D_FORTIFY_SOURCE=2 -fPIE
LDHARD := -pie -Wl,-z,relro,-z,now
SAN.asan := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined -U_FORTIFY_SOURCE
SAN.tsan := -O1 -fno-omit-frame-pointer -fsanitize=thread -U_FORTIFY_SOURCE
SAN.cov  := -O0 --coverage -U_FORTIFY_SOURCE
SAN.fuzz := -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined \
            -U_FORTIFY_SOURCE
SAN := $(SAN.$(V))
VERSION := $(shell cat VERSION)

ALL_CFLAGS  = -std=gnu11 $(CFLAGS) $(WARN) $(HARD) $(SAN) -D_GNU_SOURCE -DGW_VERSION='"$(VERSION)"' \
              -Isrc -I$(B)/gen $(shell pkg-config --cflags $(PKGS))
ALL_LDFLAGS = $(LDFLAGS) $(LDHARD) $(SAN)

# ---- sources -------------------------------------------------------------------------------------
LIB_SRC  := $(wildcard src/*/*.c)
MIGRATIONS := $(sort $(wildcard migrations/*.sql))
LETTERS  := $(sort $(wildcard share/mail/*.txt))
PROTO    := $(wildcard schema/proto/*.proto)
GEN_SRC  := $(patsubst schema/proto/%.proto,$(B)/gen/%.pb-c.c,$(PROTO)) $(B)/gen/migrations.c $(B)/gen/password_common.c \
            $(B)/gen/mail_templates.c $(B)/gen/descriptors.c
LIB_OBJ  := $(LIB_SRC:%.c=$(B)/%.o) $(GEN_SRC:.c=.o)
LIB      := $(B)/libgateway.a
GWD_OBJ  := $(patsubst %.c,$(B)/%.o,$(wildcard gatewayd/*.c))
GWCTL_OBJ:= $(patsubst %.c,$(B)/%.o,$(wildcard gwctl/*.c))
NODE_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard tests/node/*.c))
UNIT_SRC := $(wildcard tests/unit/test_*.c)
REPLAY   := $(patsubst tests/fuzz/%.c,$(B)/replay/%,$(wildcard tests/fuzz/fuzz_*.c))
UNIT     := $(UNIT_SRC:tests/unit/%.c=$(B)/unit/%) $(REPLAY)
UNIT_LIB := $(patsubst %.c,$(B)/%.o,$(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c)))
TEST_OBJ := $(UNIT_SRC:%.c=$(B)/%.o) $(patsubst %.c,$(B)/%.o,$(wildcard $(addsuffix /*.c,$(addprefix tests/,foreign mail fuzz bench))))
OBJ      := $(LIB_OBJ) $(TEST_OBJ) $(GWD_OBJ) $(GWCTL_OBJ) $(NODE_OBJ) $(UNIT_LIB)

.PHONY: all
all: $(if $(wildcard gatewayd/main.c),$(BIN)/gatewayd) $(if $(wildcard gwctl/main.c),$(BIN)/gwctl) ## build gatewayd and gwctl into bin/

GEN_HDR := $(patsubst schema/proto/%.proto,$(B)/gen/%.pb-c.h,$(PROTO))
$(OBJ): VERSION | build-deps $(GEN_HDR)
.PHONY: build-deps
build-deps:
	@pkg-config --exists $(PKGS) && command -v protoc-c >/dev/null && command -v protoc >/dev/null && [ -e $(COMMON_PASSWORDS) ] && \
	    [ -e /usr/include/zxcvbn.h ] || tools/deps.sh build

# The files there are. It changes when they do, so that what is made of all of them is made anew also when one
# is gone, or came with an older date than what was made.
LISTED := $(LIB_OBJ) $(GWD_OBJ) $(GWCTL_OBJ) $(NODE_OBJ) $(UNIT_LIB) $(MIGRATIONS) $(LETTERS)
$(B)/listed: always
	@mkdir -p $(@D)
	@echo $(LISTED) | cmp -s - $@ || echo $(LISTED) > $@
.PHONY: always

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/gen/%.o: $(B)/gen/%.c
	$(CC) $(ALL_CFLAGS) -Wno-shadow -MMD -MP -c -o $@ $<

# protoc-c 1.4 refuses proto3's `optional`; the oneof of one field that it stands for is the same on the wire
$(B)/gen/%.pb-c.c $(B)/gen/%.pb-c.h: schema/proto/%.proto | build-deps
	@mkdir -p $(@D)
	sed -E 's/^( *)optional ([a-z0-9]+) ([a-z_]+) = ([0-9]+);/\1oneof _\3 { \2 \3 = \4; }/' $< > $(B)/gen/$*.proto
	protoc-c --proto_path=$(B)/gen --c_out=$(B)/gen $(B)/gen/$*.proto
$(B)/gen/migrations.c: tools/embed-sql.sh $(MIGRATIONS) $(B)/listed
	@mkdir -p $(@D)
	tools/embed-sql.sh $(MIGRATIONS) > $@
$(B)/gen/mail_templates.c: tools/embed-mail.sh $(LETTERS) $(B)/listed
	@mkdir -p $(@D)
	tools/embed-mail.sh $(LETTERS) > $@
# what server reflection tells of: the services of listen.grpc
SERVED := command.proto grpc/health/v1/health.proto grpc/reflection/v1/reflection.proto grpc/reflection/v1alpha/reflection.proto
$(B)/gen/descriptors.c: tools/embed-descriptors.sh $(SERVED:%=schema/proto/%) | build-deps
	@mkdir -p $(@D)
	tools/embed-descriptors.sh $(SERVED) > $@
COMMON_PASSWORDS := /usr/lib/python3/dist-packages/zxcvbn/frequency_lists.py
$(B)/gen/password_common.c: tools/common-passwords.sh | build-deps
	@mkdir -p $(@D)
	tools/common-passwords.sh $(COMMON_PASSWORDS) > $@

$(LIB): $(LIB_OBJ) $(B)/listed
	@rm -f $@
	$(AR) rcs $@ $(LIB_OBJ)
$(BIN)/gatewayd: $(GWD_OBJ) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $(GWD_OBJ) $(LIB) $(LIBS)
$(BIN)/gwctl: $(GWCTL_OBJ) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $(GWCTL_OBJ) $(LIB) $(LIBS)
$(B)/samplenode: $(NODE_OBJ) $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $(NODE_OBJ) $(LIB) $(LIBS)
# gwctl without its main, for unit tests
$(B)/libgwctl.a: $(filter-out %/main.o,$(GWCTL_OBJ)) $(B)/listed
	@rm -f $@
	$(AR) rcs $@ $(filter %.o,$^)
$(B)/unit/%: $(B)/tests/unit/%.o $(UNIT_LIB) $(B)/libgwctl.a $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $< $(UNIT_LIB) $(B)/libgwctl.a $(LIB) -lcmocka $(LIBS)

# programs that only tests use: our tokens in the hands of other implementations, and theirs in ours
TEST_PROGS := $(B)/jws-tool $(B)/libjwt-verify $(B)/mailer
$(B)/jws-tool: $(B)/tests/foreign/jws_tool.o $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $< $(LIB) $(LIBS)
$(B)/libjwt-verify: $(B)/tests/foreign/libjwt_verify.o
	$(CC) $(ALL_LDFLAGS) -o $@ $< -ljwt
# the mail room alone, to be killed before a real server
$(B)/mailer: $(B)/tests/mail/main.o $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $< $(LIB) $(LIBS)

$(B)/mallocs.so: tests/bench/mallocs.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -O2 $(WARN) -fPIC -shared -o $@ $<

$(B)/crypto-bench: $(B)/tests/bench/crypto.o $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $< $(LIB) $(LIBS)

$(B)/hash-bench: $(B)/tests/bench/hashes.o
	$(CC) $(ALL_LDFLAGS) -o $@ $< $(LIBS)

$(B)/refresh-load: $(B)/tests/bench/refresh.o $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $< $(LIB) $(LIBS)

$(B)/store-bench: $(B)/tests/bench/store.o $(UNIT_LIB) $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $< $(UNIT_LIB) $(LIB) -lcmocka $(LIBS)

$(B)/fuzz/%: $(B)/tests/fuzz/%.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $< $(LIB) $(LIBS)
# the same targets without libFuzzer, a short run that is part of the unit tests
$(B)/replay/%: $(B)/tests/fuzz/%.o $(B)/tests/fuzz/replay.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $< $(B)/tests/fuzz/replay.o $(LIB) $(LIBS)
.PRECIOUS: $(B)/tests/unit/%.o $(B)/tests/fuzz/%.o $(B)/gen/%.pb-c.c $(B)/gen/%.pb-c.h

.PHONY: deps
deps: ## install everything that building, testing and benchmarking need (Debian 12, npm)
	tools/deps.sh build test bench

.PHONY: run
run: ## initialise a sample gateway with nodes, start it, print what to try
	@tools/deps.sh build
	@$(MAKE) -s -j$(JOBS) --no-print-directory all $(B)/samplenode
	@tools/run.sh $(BIN) $(B)/samplenode

# ---- tests ---------------------------------------------------------------------------------------
.PHONY: unit
unit: $(UNIT) ## build and run the unit tests
	tools/run-unit.sh $(UNIT)

.PHONY: test
test: ## install what tests need; run lint, unit and end-to-end tests; print the sum
	@tools/deps.sh build test
	@$(MAKE) -s -j$(JOBS) --no-print-directory all $(B)/samplenode $(TEST_PROGS) $(UNIT)
	@V=$(V) tools/test.sh

.PHONY: test-asan test-tsan
test-asan: ## the whole test suite under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(MAKE) --no-print-directory V=asan test
test-tsan: ## the whole test suite under ThreadSanitizer
	@$(MAKE) --no-print-directory V=tsan test

RACE_ROUNDS ?= 1000
.PHONY: races
races: ## what must happen once happens once: RACE_ROUNDS (1000) rounds of each race on two gateways and three rqlite nodes
	@tools/deps.sh build test
	@$(MAKE) -s -j$(JOBS) --no-print-directory all
	@GW_BIN=$(BIN) GW_VARIANT=$(V) GW_RACE_ROUNDS=$(RACE_ROUNDS) $(PY) -m pytest -q -s tests/e2e/test_races.py

CHAOS_SECONDS ?= 60
.PHONY: chaos
chaos: ## nodes that are stopped, killed, slowed and cut off under load for CHAOS_SECONDS (60); CHAOS_SEED repeats a run
	@tools/deps.sh build test
	@$(MAKE) -s -j$(JOBS) --no-print-directory all $(B)/samplenode
	@GW_BIN=$(BIN) GW_VARIANT=$(V) CHAOS_SECONDS=$(CHAOS_SECONDS) $(PY) -m pytest -q -s tests/e2e/test_chaos.py

.PHONY: timing
timing: ## a thousand samples a class: whether time tells an account that exists from one that does not (8 min)
	@tools/deps.sh build test
	@$(MAKE) -s -j$(JOBS) --no-print-directory all
	@GW_BIN=$(BIN) GW_VARIANT=$(V) GW_TIMING_SAMPLES=1000 $(PY) -m pytest -q -s tests/e2e/test_timing.py

FUZZ         := $(patsubst tests/fuzz/%.c,build/fuzz/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 60
.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZ_SECONDS (60) with clang's libFuzzer and AddressSanitizer
	@tools/deps.sh build fuzz
	@$(MAKE) --no-print-directory V=fuzz CC=clang $(FUZZ)
	@tools/run-fuzz.sh $(FUZZ_SECONDS) $(FUZZ)

.PHONY: bench
bench: ## compare gatewayd with HAProxy and nginx on the same cores (BENCH="--rounds 3 --help")
	@tools/deps.sh build test bench
	@$(MAKE) --no-print-directory all $(B)/samplenode $(B)/mallocs.so
	@$(PY) tests/bench/bench.py $(BENCH)

.PHONY: bench-tls
bench-tls: ## TLS handshakes and requests of gatewayd, HAProxy and nginx on one core each (BENCH="--rounds 3")
	@tools/deps.sh build test bench
	@$(MAKE) --no-print-directory all
	@$(PY) tests/bench/tls.py $(BENCH)

.PHONY: bench-isolation
bench-isolation: ## proxied traffic beside a storm of sign-ins, and the sign-ins beside the bare password library
	@tools/deps.sh build test bench
	@$(MAKE) --no-print-directory all $(B)/samplenode $(B)/hash-bench
	@$(PY) tests/bench/isolation.py $(BENCH)

.PHONY: bench-scale
bench-scale: ## gatewayd on a million users beside a small data set (BENCH="--factor 0.01 --help")
	@tools/deps.sh build test bench
	@$(MAKE) --no-print-directory all $(B)/samplenode
	@$(PY) tests/bench/scale.py $(BENCH)

.PHONY: bench-revocation
bench-revocation: ## how long access tokens outlive a revocation on two gateways, with NATS and without (BENCH="--samples 100")
	@tools/deps.sh build test bench
	@$(MAKE) --no-print-directory all
	@$(PY) tests/bench/revocation.py $(BENCH)

.PHONY: bench-refresh
bench-refresh: ## durable refreshes per second on SQLite and on three rqlite nodes (BENCH="--rounds 3 --help")
	@tools/deps.sh build test bench
	@$(MAKE) --no-print-directory all $(B)/refresh-load
	@$(PY) tests/bench/refresh.py $(BENCH)

.PHONY: bench-crypto
bench-crypto: $(B)/crypto-bench ## tokens and password hashes per second of one core, beside the bare libraries
	$(B)/crypto-bench 2

.PHONY: lint
lint: ## include direction between rooms, file and function length, leftovers
	tools/lint.sh

.PHONY: man
man: all ## write the tables of the manual pages anew
	tools/man-tables.py $(BIN)

.PHONY: format
format: ## clang-format every C file in place
	clang-format -i $$(git ls-files '*.c' '*.h')

.PHONY: clean
clean: ## remove everything built
	rm -rf build bin

.PHONY: install
install: all ## install programs and man pages under DESTDIR/PREFIX
	install -D -m755 $(BIN)/gatewayd $(DESTDIR)$(PREFIX)/sbin/gatewayd
	install -D -m755 $(BIN)/gwctl $(DESTDIR)$(PREFIX)/bin/gwctl
	for m in man/*.[158]; do install -D -m644 $$m $(DESTDIR)$(PREFIX)/share/man/man$${m##*.}/$${m##*/}; done

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

-include $(OBJ:.o=.d)
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
