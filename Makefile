# One makefile for everything; what it makes is below $(BUILD), which is build/.
#
#   make                the libraries, the command, and the host libraries whose headers are here
#   make deps           install what is missing (Debian); NO_DEPS=1 skips it
#   make check          all tests           make check-python   CPython's own tests, both ways
#   make model          all of tests/model: the lock's protocol, verified (make check: a part)
#   make demo           stock CPython beside CPython on libgil, under a real load
#   make bench          the convoy suite    make install        PREFIX, DESTDIR; make uninstall
#   make fault          every call fails at every occurrence: an hour
#   make check-fuzz     gil report, given files made up for SECONDS=60
#   make coverage       what the tests of the lock cover, in a build of its own
#   make aarch64        the lock's unit tests, cross-compiled, on an emulator
#   make tsan, make asan, make ubsan        the lock's tests under a sanitizer, in builds of their own
#   make stress         the stress tests at length           make soak           SECONDS=600 of them
#
# A new source file is picked up by its folder: lib/ and kernel-helpers/ go into libgil, tools/cli/
# into the command, tools/python/ into the CPython drop-in, tools/lua/ into the Lua module. Tests:
#
#   tests/unit/NAME.c           a libcheck program        $(BUILD)/tests/NAME
#   tests/AREA/NAME.c, .cc      a program for the tests   $(BUILD)/tests/AREA/NAME
#   tests/AREA/NAMEmodule.c     a Python extension        $(BUILD)/tests/AREA/NAME.so
#   tests/AREA/NAMEpreload.c    to be preloaded           $(BUILD)/tests/AREA/NAME.so
#   tests/interp/model/*.c      the model interpreter     $(BUILD)/tests/interp/model
#   tests/AREA/NAME.test        a script that tests/run runs
#
# tools/bench/NAME.c is a program of the benchmarks, $(BUILD)/bench/NAME, and NAMEmodule.c a Python
# extension, $(BUILD)/bench/NAME.so. tools/bench/locks/NAME.c is a lock that is measured, added to
# C_LOCKS below; tools/bench/io/ is one program.

VERSION   := $(shell sed -n 's/^.define GIL_VERSION_STRING "\(.*\)"/\1/p' include/gil/version.h)
SOVERSION := $(firstword $(subst ., ,$(VERSION)))

BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
ifeq ($(origin CC),default)
CC       = gcc
endif
PYTHON  ?= /usr/bin/python3
PYTHON_INCLUDE ?= /usr/include/python3.11
LUA_INCLUDE ?= /usr/include/lua5.4
NO_DEPS ?=
export BUILD PYTHON

V ?= 0
ifeq ($(V),0)
say = @printf '  %-8s %s\n' $(1) $(2);
endif

CFLAGS   ?= -O2 -g
CXXFLAGS ?= -O2 -g
BASE     := -std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -fPIC \
            -fvisibility=hidden -ftls-model=initial-exec -fno-plt -pthread -Iinclude -I.
CXXBASE  := -std=gnu++17 -Wall -Wextra -fPIC -pthread -Iinclude -I.
WERROR   ?=
COMPILE   = $(CC) $(BASE) $(CFLAGS) $(WERROR) -MMD -MP
LDFLAGS  ?=

# What only the command needs of the kernel.
CLI_HELP := $(addprefix kernel-helpers/,elf.c features.c uprobe.c)

LIB_SRC  := $(filter-out $(CLI_HELP),$(wildcard lib/*.c kernel-helpers/*.c))
CLI_SRC  := $(wildcard tools/cli/*.c) $(CLI_HELP)
PY_SRC   := $(wildcard tools/python/*.c)
UNIT_SRC := $(wildcard tests/unit/*.c)

obj       = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB_OBJ  := $(call obj,$(LIB_SRC))

# The library for programs built with GIL_NO_THREADS, from the same sources.
NOTHREADS_OBJ := $(LIB_SRC:%.c=$(BUILD)/obj/nothreads/%.o)

# Both again for programs that look on at each step of the lock's protocol.
STEPS_OBJ           := $(LIB_SRC:%.c=$(BUILD)/obj/steps/%.o)
NOTHREADS_STEPS_OBJ := $(LIB_SRC:%.c=$(BUILD)/obj/nothreads-steps/%.o)

# An empty HAVE_PYTHON leaves out the drop-in and the test programs that need Python's headers.
HAVE_PYTHON := $(wildcard $(PYTHON_INCLUDE)/internal/pycore_gil.h)
DROPIN      := $(if $(HAVE_PYTHON),$(BUILD)/libgil-python3.11.so)

# The Lua module and its Lua files, in folders as `require` looks for them; empty without Lua's
# headers.
HAVE_LUA    := $(wildcard $(LUA_INCLUDE)/lua.h)
LUA_SRC     := $(wildcard tools/lua/*.c)
LUA_FILES   := $(wildcard tools/lua/gil/*.lua)
LUA_MODULE  := $(if $(HAVE_LUA),$(BUILD)/lua/gil.so $(LUA_FILES:tools/lua/%=$(BUILD)/lua/%))

# An empty HAVE_NCURSES leaves out the screen of `gil top`, and an empty HAVE_SDT the probes.
HAVE_NCURSES := $(wildcard /usr/include/ncurses.h)
HAVE_SDT     := $(shell echo '\#include <sys/sdt.h>' | $(CC) -E -xc - >/dev/null 2>&1 && echo yes)

# An empty HAVE_BPF leaves out the tracer; the commands that need it say so.
BPF_CLANG   ?= clang
BPFTOOL     ?= $(firstword $(shell command -v bpftool) $(wildcard /usr/sbin/bpftool))
HAVE_BPF    := $(and $(shell command -v $(BPF_CLANG)),$(BPFTOOL),$(wildcard /usr/include/bpf/bpf.h))
TRACER_SRC  := $(wildcard tools/cli/tracer*.c)
CLI_SRC     := $(filter-out $(if $(HAVE_BPF),%/notracer.c,$(TRACER_SRC) %/python311.c) \
                 $(if $(HAVE_PYTHON),,%/python311.c),$(CLI_SRC))
CLI_LIBS    := $(if $(HAVE_BPF),-lbpf) $(if $(HAVE_NCURSES),-lncursesw)

TEST_SRC    := $(wildcard tests/*/*.c tests/*/*.cc)
TEST_SRC    := $(filter-out tests/unit/% tests/model/% tests/coverage/%,$(TEST_SRC))
STEP_SRC    := $(addprefix tests/stress/,lock_stress.c turns.c stops.c)
TEST_SRC    := $(filter-out tests/stress/stops.c,$(TEST_SRC))
TEST_SRC    := $(if $(HAVE_PYTHON),$(TEST_SRC),$(filter-out tests/python/% %module.c,$(TEST_SRC)))
TEST_MODULE := $(filter %module.c,$(TEST_SRC))
TEST_PRELOAD := $(filter %preload.c,$(TEST_SRC))
TEST_PROG   := $(basename $(filter-out %module.c %preload.c %/alwaysdeferred.c,$(TEST_SRC)))
CLASSIC     := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/classic/*.c))
TEST_BIN    := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/%) $(TEST_PROG:%=$(BUILD)/%) \
               $(TEST_MODULE:%module.c=$(BUILD)/%.so) $(TEST_PRELOAD:%preload.c=$(BUILD)/%.so) \
               $(patsubst %.c,$(BUILD)/%.so,$(filter %/alwaysdeferred.c,$(TEST_SRC))) \
               $(CLASSIC:%=%-cxx) $(BUILD)/tests/classic/names-nothreads $(BUILD)/tests/interp/model

all: $(BUILD)/libgil.so $(BUILD)/libgil.a $(BUILD)/libgil-nothreads.so $(BUILD)/gil $(DROPIN) $(LUA_MODULE)
ifeq ($(HAVE_PYTHON),)
	@echo "make: no CPython 3.11 headers in $(PYTHON_INCLUDE): libgil-python3.11.so is left" \
	      "out (make deps installs them)"
endif
ifeq ($(HAVE_BPF),)
	@echo "make: no clang, bpftool or libbpf: gil record and gil trace are left out (make deps" \
	      "installs them)"
endif
ifeq ($(HAVE_LUA),)
	@echo "make: no Lua 5.4 headers in $(LUA_INCLUDE): lua/gil.so is left out (make deps installs" \
	      "them)"
endif
ifeq ($(HAVE_NCURSES),)
	@echo "make: no ncurses: gil top has no screen, and prints text (make deps installs it)"
endif
ifeq ($(HAVE_SDT),)
	@echo "make: no sys/sdt.h: the libraries have no probes to trace (make deps installs it)"
endif

.DELETE_ON_ERROR:
.SECONDARY:
SANITISERS := tsan asan ubsan
.PHONY: $(SANITISERS) $(SANITISERS:%=%-programs) steps-programs stress soak
.PHONY: all deps test-programs lock-programs fault-programs trace-programs damage-programs check
.PHONY: check-python check-fuzz model fault coverage aarch64
.PHONY: bench-programs demo bench install uninstall clean

# ---- The libraries and the command ----

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<) $(COMPILE) -c -o $@ $<

$(BUILD)/obj/nothreads/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@) $(COMPILE) -DGIL_NO_THREADS -c -o $@ $<

$(BUILD)/obj/steps/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@) $(COMPILE) -DLOCK_STEPS -c -o $@ $<

$(BUILD)/obj/nothreads-steps/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@) $(COMPILE) -DGIL_NO_THREADS -DLOCK_STEPS -c -o $@ $<

# The drop-in reads the interpreter's own headers, and unwinds through its wrappers (thread
# cancellation, C++ frames).
$(BUILD)/obj/tools/python/%.o: BASE += -fexceptions -fasynchronous-unwind-tables -I$(PYTHON_INCLUDE)

$(BUILD)/libgil.a: $(LIB_OBJ)
$(BUILD)/libgil.a $(BUILD)/cli.a:
	$(call say,AR,$@) rm -f $@; $(AR) rcs $@ $^

SHARED := $(BUILD)/libgil.so $(BUILD)/libgil-nothreads.so

$(BUILD)/libgil.so.$(SOVERSION): $(LIB_OBJ)
$(BUILD)/libgil-nothreads.so.$(SOVERSION): $(NOTHREADS_OBJ)
$(SHARED:%=%.$(SOVERSION)): lib/libgil.map
	$(call say,LD,$@) $(CC) -shared -Wl,-soname,$(@F) -Wl,--version-script=lib/libgil.map \
	    -Wl,-z,defs -Wl,-z,now $(LDFLAGS) -o $@ $(filter %.o,$^) -pthread

$(SHARED): %: %.$(SOVERSION)
	@ln -sf $(<F) $@

$(BUILD)/obj/tools/cli/%.o: BASE += $(if $(HAVE_NCURSES),-DHAVE_NCURSES)

# All of the command but its main(), for its unit tests.
$(BUILD)/cli.a: $(call obj,$(filter-out %/main.c,$(CLI_SRC)))

$(BUILD)/gil: $(call obj,tools/cli/main.c) $(BUILD)/cli.a $(BUILD)/libgil.a
	$(call say,LD,$@) $(CC) $(LDFLAGS) -o $@ $^ $(CLI_LIBS) -pthread

# The BPF programs, and a header that has them as bytes. Debug information stays out; the types that
# the kernel needs stay in.
MULTIARCH := $(shell $(CC) -print-multiarch)

$(BUILD)/bpf/tracer.bpf.o: bpf/tracer.bpf.c $(wildcard bpf/*.h) include/gil/trace.h
	@mkdir -p $(@D)
	$(call say,BPF,$<) $(BPF_CLANG) -target bpf -mcpu=v3 -O2 -g -Wall -Wextra $(WERROR) -I. \
	    -I/usr/include/$(MULTIARCH) -c -o $@ $<
	@llvm-strip -g $@ 2>/dev/null || :

$(BUILD)/bpf/tracer.skel.h: $(BUILD)/bpf/tracer.bpf.o
	$(call say,SKEL,$@) $(BPFTOOL) gen skeleton $< name tracer_bpf >$@ 2>/dev/null

TRACER_OBJ := $(call obj,$(TRACER_SRC))
$(TRACER_OBJ): $(BUILD)/bpf/tracer.skel.h
$(TRACER_OBJ): BASE += -isystem $(BUILD)/bpf $(if $(HAVE_PYTHON),-DHAVE_PYTHON)
$(BUILD)/obj/tools/cli/python311.o: BASE += -I$(PYTHON_INCLUDE)

$(BUILD)/libgil-python3.11.so: $(call obj,$(PY_SRC)) $(BUILD)/libgil.a tools/python/dropin.map
	$(call say,LD,$@) $(CC) -shared -Wl,-soname,$(@F) \
	    -Wl,--version-script=tools/python/dropin.map -Wl,-z,defs -Wl,-z,now \
	    -Wl,--exclude-libs,ALL $(LDFLAGS) -o $@ $(filter %.o,$^) $(BUILD)/libgil.a -pthread -ldl

$(BUILD)/obj/tools/lua/%.o: BASE += -I$(LUA_INCLUDE)

# Never unloaded: when Lua closes a state, a thread may still be on its way out.
$(BUILD)/lua/gil.so: $(call obj,$(LUA_SRC)) $(BUILD)/libgil.a
	@mkdir -p $(@D)
	$(call say,LD,$@) $(CC) -shared -Wl,-z,nodelete -Wl,-z,now -Wl,--exclude-libs,ALL $(LDFLAGS) \
	    -o $@ $(filter %.o,$^) $(BUILD)/libgil.a -pthread -lm

$(BUILD)/lua/gil/%.lua: tools/lua/gil/%.lua
	@mkdir -p $(@D)
	$(call say,COPY,$@) cp $< $@

# ---- Tests ----

CHECK = $(shell pkg-config --cflags --libs check)

# A program that needs more libraries: $(BUILD)/tests/AREA/NAME: TEST_LIBS = -lfoo
TEST_LIBS =
$(addprefix $(BUILD)/tests/python/,embed subinterp cancel cancelcxx): TEST_LIBS = -lpython3.11
$(addprefix $(BUILD)/tests/python/,unrecognised unreachable): TEST_LIBS = -rdynamic
CLI_UNIT := $(addprefix $(BUILD)/tests/,duration percentiles record_file text cli/makerecord \
              cli/damage)
$(CLI_UNIT): TEST_LIBS = $(BUILD)/cli.a
$(CLI_UNIT): $(BUILD)/cli.a
$(BUILD)/tests/fault/io: TEST_LIBS = -Wl,--wrap=interruptible_syscall
$(BUILD)/tests/python/redirect: TEST_LIBS = -Wl,-z,relro,-z,now
$(BUILD)/tests/python/%: BASE += -I$(PYTHON_INCLUDE)
$(BUILD)/tests/python/%: CXXBASE += -I$(PYTHON_INCLUDE)

$(BUILD)/tests/%: tests/unit/%.c $(BUILD)/libgil.a
	@mkdir -p $(@D)
	$(call say,CC,$@) $(COMPILE) -o $@ $< $(BUILD)/libgil.a $(LDFLAGS) $(TEST_LIBS) \
	    $(CHECK) -pthread

# With a library of their own, which calls the test at each step of the protocol.
STEP_UNIT := $(addprefix $(BUILD)/tests/,races windows statesteps)
$(STEP_UNIT): $(STEPS_OBJ)
$(BUILD)/tests/nothreads: $(NOTHREADS_STEPS_OBJ)
$(BUILD)/tests/nothreads: private BASE += -DGIL_NO_THREADS
$(STEP_UNIT) $(BUILD)/tests/nothreads: $(BUILD)/tests/%: tests/unit/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@) $(COMPILE) -DLOCK_STEPS -o $@ $< $(filter %.o,$^) $(LDFLAGS) $(CHECK) \
	    -pthread

$(BUILD)/tests/%.so: tests/%module.c
	@mkdir -p $(@D)
	$(call say,CC,$@) $(COMPILE) -fvisibility=default -I$(PYTHON_INCLUDE) -shared -o $@ $< \
	    $(LDFLAGS) $(TEST_LIBS) -pthread

$(BUILD)/tests/%.so: tests/%preload.c
	@mkdir -p $(@D)
	$(call say,CC,$@) $(COMPILE) -fvisibility=default -shared -o $@ $< $(LDFLAGS) -ldl

$(BUILD)/tests/%: tests/%.c $(BUILD)/libgil.a
	@mkdir -p $(@D)
	$(call say,CC,$@) $(COMPILE) -fvisibility=default -o $@ $< $(BUILD)/libgil.a $(LDFLAGS) \
	    $(TEST_LIBS) -pthread -ldl

$(BUILD)/tests/%: tests/%.cc $(BUILD)/libgil.a
	@mkdir -p $(@D)
	$(call say,CXX,$@) $(CXX) $(CXXBASE) $(CXXFLAGS) $(WERROR) -MMD -MP -o $@ $< \
	    $(BUILD)/libgil.a $(LDFLAGS) $(TEST_LIBS) -pthread -ldl

# A program in classic spellings is compiled twice: as strict C11 by the rule above, and as C++17.
$(BUILD)/tests/classic/%: private BASE += -std=c11 -pedantic -D_DEFAULT_SOURCE
$(BUILD)/tests/classic/%-cxx: private CXXBASE += -std=c++17 -pedantic -xc++

$(BUILD)/tests/classic/%-cxx: tests/classic/%.c $(BUILD)/libgil.a
	@mkdir -p $(@D)
	$(call say,CXX,$@) $(CXX) $(CXXBASE) $(CXXFLAGS) $(WERROR) -MMD -MP -o $@ $< -xnone \
	    $(BUILD)/libgil.a $(LDFLAGS) -pthread

$(BUILD)/tests/classic/names-nothreads: tests/classic/names.c $(BUILD)/libgil-nothreads.so
	@mkdir -p $(@D)
	$(call say,CC,$@) $(COMPILE) -DGIL_NO_THREADS -o $@ $< -L$(BUILD) -lgil-nothreads $(LDFLAGS)

$(BUILD)/tests/interp/model: $(call obj,$(wildcard tests/interp/model/*.c)) $(BUILD)/libgil.a
	@mkdir -p $(@D)
	$(call say,LD,$@) $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -pthread

# The wrappers of the drop-in with a stand-in for its hooks, to be preloaded by a test.
$(BUILD)/tests/python/alwaysdeferred.so: tests/python/alwaysdeferred.c \
    $(call obj,$(filter-out %/calls_real.c,$(filter tools/python/calls_%,$(PY_SRC)))) \
    $(BUILD)/libgil.a
	@mkdir -p $(@D)
	$(call say,CC,$@) $(COMPILE) -fexceptions -shared -Wl,-z,defs -o $@ \
	    $(filter %.c %.o %.a,$^) $(LDFLAGS) -pthread -ldl

test-programs: all bench-programs $(TEST_BIN)

# What `deps` installs is looked for when the makefile is read, so a second make does the work.
check:
	@tools/deps.sh build check
	@$(MAKE) --no-print-directory test-programs steps-programs $(SANITISERS:%=%-programs)
	@tests/run

# $(BUILD)/tsan and so on are builds of their own, of what tests/sanitise/run runs.
fault-programs: $(addprefix $(BUILD)/tests/fault/,scenario threads io fault.so)
trace-programs: $(addprefix $(BUILD)/tests/trace/,known usdt)
lock-programs: $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/%) $(BUILD)/tests/stress/lock_stress \
    $(BUILD)/tests/interp/model
damage-programs: $(addprefix $(BUILD)/tests/cli/,makerecord damage)

tsan-programs: FLAGS = -O1 -fsanitize=thread
asan-programs: FLAGS = -O1 -fsanitize=address
asan-programs: MORE = damage-programs
ubsan-programs: FLAGS = -O1 -fsanitize=undefined -fno-sanitize-recover=undefined
$(SANITISERS:%=%-programs): %-programs:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/$* \
	    CFLAGS="-g -fno-omit-frame-pointer $(FLAGS)" lock-programs $(MORE)

# The lock with a hook at each step of its protocol, and limits that a run chooses.
STEP_FLAGS   = -O2 -g -DLOCK_STEPS -include tests/stress/limits.h
steps-programs:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/steps CFLAGS="$(STEP_FLAGS)" \
	    $(STEP_SRC:tests/%.c=$(BUILD)/steps/tests/%)

stress soak:
	@tools/deps.sh build check
	@$(MAKE) --no-print-directory test-programs steps-programs $(SANITISERS:%=%-programs)
	@tests/stress/$@

tsan asan ubsan:
	@tools/deps.sh build check
	@$(MAKE) --no-print-directory $@-programs
	@tests/sanitise/run $@

# $(BUILD)/coverage is a build of its own. Its programs write down what they cover even when they
# abort, as some do on purpose.
COVERAGE  := $(BUILD)/coverage
FLUSH     := $(COVERAGE)/obj/tests/coverage/flush.o

coverage:
	@tools/deps.sh build check coverage
	@rm -rf $(COVERAGE)
	@$(MAKE) --no-print-directory BUILD=$(COVERAGE) CC=gcc CFLAGS="-O1 -g" $(FLUSH)
	@$(MAKE) --no-print-directory BUILD=$(COVERAGE) CC=gcc LDFLAGS="--coverage $(FLUSH)" \
	    CFLAGS="-O0 -g --coverage -fprofile-update=atomic" lock-programs fault-programs \
	    trace-programs $(COVERAGE)/gil $(COVERAGE)/libgil.so $(COVERAGE)/tests/stress/crash
	@BUILD=$(COVERAGE) tests/coverage/measure

# Debian's cross compiler and its libcheck for arm64; the programs run on an emulator.
AARCH64       := $(BUILD)/aarch64
AARCH64_CHECK := -I$(AARCH64)/root/usr/include -L$(AARCH64)/root/usr/lib/aarch64-linux-gnu \
                 -lcheck_pic -lsubunit -lrt -lm

aarch64:
	@tools/deps.sh build aarch64
	@tests/aarch64/libcheck $(AARCH64)/root
	@$(MAKE) --no-print-directory BUILD=$(AARCH64) CC=aarch64-linux-gnu-gcc \
	    AR=aarch64-linux-gnu-ar CHECK="$(AARCH64_CHECK)" \
	    UNIT_SRC="$(filter-out $(CLI_UNIT:$(BUILD)/tests/%=tests/unit/%.c),$(UNIT_SRC))" \
	    lock-programs
	@BUILD=$(AARCH64) tests/aarch64/run

fault:
	@tools/deps.sh build check
	@$(MAKE) --no-print-directory test-programs
	@FULL=1 tests/fault/lock.test
	@FULL=1 tests/fault/threads.test
	@FULL=1 tests/fault/io.test
	@FULL=1 tests/fault/python.test

# FUZZER makes the program one of libFuzzer, which needs clang.
FUZZER =
$(BUILD)/tests/cli/damage: TEST_LIBS += $(FUZZER)

check-fuzz:
	@tools/deps.sh build fuzz
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz CC=clang FUZZER="-DFUZZER -fsanitize=fuzzer" \
	    CFLAGS="-g -O1 -fno-sanitize-recover=undefined \
	    -fsanitize=address,undefined,fuzzer-no-link" damage-programs
	@BUILD=$(BUILD)/fuzz tests/cli/fuzz

check-python:
	@tools/deps.sh build check
	@$(MAKE) --no-print-directory test-programs
	@tests/python/suite

model:
	@tools/deps.sh check
	@tests/model/check --all

# ---- Side by side with stock CPython ----

BENCH_SRC := $(wildcard tools/bench/*.c)
BENCH_SRC := $(if $(HAVE_PYTHON),$(BENCH_SRC),$(filter-out %module.c,$(BENCH_SRC)))
BENCH_BIN := $(patsubst tools/bench/%.c,$(BUILD)/bench/%,$(filter-out %module.c,$(BENCH_SRC))) \
             $(patsubst tools/bench/%module.c,$(BUILD)/bench/%.so,$(filter %module.c,$(BENCH_SRC)))

$(BUILD)/bench/%.so: tools/bench/%module.c
	@mkdir -p $(@D)
	$(call say,CC,$@) $(COMPILE) -I$(PYTHON_INCLUDE) -shared -o $@ $< $(LDFLAGS) -pthread

$(BUILD)/bench/%: tools/bench/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@) $(COMPILE) -o $@ $< $(LDFLAGS) -pthread

# The locks that libgil's is measured against, each a program of its own: those of Debian packages
# that are not installed are left out. libgil's own is the shared library, as the C library's is.
HAVE        = $(if $(wildcard /usr/include/$(1)),$(2))
C_LOCKS    := cas pthread pi cpython futex libgil broken $(call HAVE,nsync.h,nsync) \
              $(call HAVE,ck_spinlock.h,ticket mcs)
CXX_LOCKS  := $(shell pkg-config --exists absl_synchronization 2>/dev/null && echo abseil)
LOCK_BIN   := $(C_LOCKS:%=$(BUILD)/bench/locks/%) $(CXX_LOCKS:%=$(BUILD)/bench/locks/%) \
              $(BUILD)/bench/locks/crowd
BENCH_HELP := $(call obj,$(wildcard tools/bench/support/*.c))
LOCK_LOADS := $(call obj,$(wildcard tools/bench/locks/workloads/*.c)) $(BENCH_HELP) $(BUILD)/libgil.a
LOCK_LIBS   =
$(BUILD)/bench/locks/nsync: LOCK_LIBS = -lnsync
$(BUILD)/bench/locks/abseil: LOCK_LIBS = $(shell pkg-config --libs absl_synchronization)
$(BUILD)/bench/locks/libgil: LOCK_LIBS = -L$(BUILD) -lgil -Wl,-rpath,'$$ORIGIN/../..'
$(BUILD)/bench/locks/libgil: $(BUILD)/libgil.so

$(C_LOCKS:%=$(BUILD)/bench/locks/%): $(BUILD)/bench/locks/%: tools/bench/locks/%.c $(LOCK_LOADS)
	@mkdir -p $(@D)
	$(call say,CC,$@) $(COMPILE) -o $@ $< $(filter %.o,$^) $(LDFLAGS) $(LOCK_LIBS) \
	    $(BUILD)/libgil.a -pthread

$(CXX_LOCKS:%=$(BUILD)/bench/locks/%): $(BUILD)/bench/locks/%: tools/bench/locks/%.cc $(LOCK_LOADS)
	@mkdir -p $(@D)
	$(call say,CXX,$@) $(CXX) $(CXXBASE) $(CXXFLAGS) $(WERROR) -MMD -MP -o $@ $< \
	    $(filter %.o,$^) $(LDFLAGS) $(LOCK_LIBS) $(BUILD)/libgil.a -pthread

# With a library of its own, which calls the program at each step of the protocol.
$(BUILD)/bench/locks/crowd: tools/bench/locks/crowd.c $(STEPS_OBJ) $(BENCH_HELP)
	@mkdir -p $(@D)
	$(call say,CC,$@) $(COMPILE) -DLOCK_STEPS -o $@ $< $(filter %.o,$^) $(LDFLAGS) -pthread

# The ways to block, on libgil's lock and on that of CPython.
IO_BENCH   := $(BUILD)/bench/io

$(IO_BENCH): $(call obj,$(wildcard tools/bench/io/*.c) tools/bench/locks/cpython.c) $(BENCH_HELP)
$(IO_BENCH): $(BUILD)/libgil.so
	@mkdir -p $(@D)
	$(call say,LD,$@) $(CC) -o $@ $(filter %.o,$^) $(LDFLAGS) -L$(BUILD) -lgil \
	    -Wl,-rpath,'$$ORIGIN/..' -pthread

bench-programs: $(BENCH_BIN) $(LOCK_BIN) $(IO_BENCH)

demo:
	@tools/deps.sh build demo
	@$(MAKE) --no-print-directory all bench-programs
	@tools/bench/demo

bench:
	@tools/deps.sh build bench
	@$(MAKE) --no-print-directory all bench-programs
	@tools/bench/bench

deps:
	@tools/deps.sh build check demo bench

# ---- Installation ----

prefix      := $(abspath $(PREFIX))
BINDIR       = $(DESTDIR)$(prefix)/bin
LIBDIR       = $(DESTDIR)$(prefix)/lib
INCLUDEDIR   = $(DESTDIR)$(prefix)/include
MANDIR       = $(DESTDIR)$(prefix)/share/man/man1
LUALIBDIR    = $(DESTDIR)$(prefix)/lib/lua/5.4
LUAFILEDIR   = $(DESTDIR)$(prefix)/share/lua/5.4
HEADERS     := $(wildcard include/gil/*.h)

install: all
	install -d $(BINDIR) $(LIBDIR)/pkgconfig $(LIBDIR)/gil $(INCLUDEDIR)/gil $(MANDIR)
	install -m 755 $(BUILD)/gil $(BINDIR)/gil
	install -m 755 $(SHARED:%=%.$(SOVERSION)) $(LIBDIR)
	ln -sf libgil.so.$(SOVERSION) $(LIBDIR)/libgil.so
	ln -sf libgil-nothreads.so.$(SOVERSION) $(LIBDIR)/libgil-nothreads.so
	install -m 644 $(BUILD)/libgil.a $(LIBDIR)
	$(if $(DROPIN),install -m 755 $(DROPIN) $(LIBDIR)/gil)
	$(if $(LUA_MODULE),install -d $(LUALIBDIR) $(LUAFILEDIR)/gil)
	$(if $(LUA_MODULE),install -m 755 $(BUILD)/lua/gil.so $(LUALIBDIR))
	$(if $(LUA_MODULE),install -m 644 $(LUA_FILES) $(LUAFILEDIR)/gil)
	install -m 644 include/gil.h $(INCLUDEDIR)
	install -m 644 $(HEADERS) $(INCLUDEDIR)/gil
	install -m 644 tools/cli/gil.1 $(MANDIR)
	sed -e 's|@PREFIX@|$(prefix)|' -e 's|@VERSION@|$(VERSION)|' lib/gil.pc.in \
	    >$(LIBDIR)/pkgconfig/gil.pc
	chmod 644 $(LIBDIR)/pkgconfig/gil.pc

uninstall:
	rm -f $(BINDIR)/gil $(LIBDIR)/libgil.so $(LIBDIR)/libgil.so.$(SOVERSION) $(LIBDIR)/libgil.a \
	    $(LIBDIR)/libgil-nothreads.so $(LIBDIR)/libgil-nothreads.so.$(SOVERSION) \
	    $(LIBDIR)/gil/libgil-python3.11.so $(LIBDIR)/pkgconfig/gil.pc $(MANDIR)/gil.1 \
	    $(INCLUDEDIR)/gil.h $(HEADERS:include/%=$(INCLUDEDIR)/%) \
	    $(LUALIBDIR)/gil.so $(LUA_FILES:tools/lua/%=$(LUAFILEDIR)/%)
	-@rmdir $(LIBDIR)/gil $(INCLUDEDIR)/gil $(LUAFILEDIR)/gil 2>/dev/null || :

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
