# One makefile, no recursion: everything is built below build/.
#
#   make                the libraries, the command, and the host libraries whose headers are here
#   make deps           install what is missing (Debian); NO_DEPS=1 skips it
#   make check          all tests           make check-python   CPython's own tests, both ways
#   make demo           stock CPython beside CPython on libgil, under a real load
#   make bench          the convoy suite    make install        PREFIX, DESTDIR
#
# A new source file is picked up by its folder: lib/ and kernel-helpers/ go into libgil, tools/cli/
# into the command, tools/python/ into the CPython drop-in, tests/unit/NAME.c is a test program.

VERSION   := $(shell sed -n 's/^.define GIL_VERSION_STRING "\(.*\)"/\1/p' include/gil/version.h)
SOVERSION := $(firstword $(subst ., ,$(VERSION)))

PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= gcc
PYTHON  ?= /usr/bin/python3
PYTHON_INCLUDE ?= /usr/include/python3.11

V ?= 0
ifeq ($(V),0)
say = @printf '  %-8s %s\n' $(1) $(2);
endif

CFLAGS   ?= -O2 -g
BASE     := -std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -fPIC \
            -fvisibility=hidden -ftls-model=initial-exec -fno-plt -pthread -Iinclude -I.
WERROR   ?=
COMPILE   = $(CC) $(BASE) $(CFLAGS) $(WERROR) -MMD -MP
LDFLAGS  ?=

LIB_SRC  := $(wildcard lib/*.c kernel-helpers/*.c)
CLI_SRC  := $(wildcard tools/cli/*.c)
PY_SRC   := $(wildcard tools/python/*.c)
UNIT_SRC := $(wildcard tests/unit/*.c)

obj       = $(patsubst %.c,build/obj/%.o,$(1))
LIB_OBJ  := $(call obj,$(LIB_SRC))
UNIT_BIN := $(patsubst tests/unit/%.c,build/tests/%,$(UNIT_SRC))

HAVE_PYTHON := $(wildcard $(PYTHON_INCLUDE)/internal/pycore_gil.h)
DROPIN      := $(if $(HAVE_PYTHON),build/libgil-python3.11.so)

all: build/libgil.so build/libgil.a build/gil $(DROPIN)
ifeq ($(HAVE_PYTHON),)
	@echo "make: no CPython 3.11 headers in $(PYTHON_INCLUDE): build/libgil-python3.11.so is" \
	      "left out (make deps installs them)"
endif

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all clean

build/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<) $(COMPILE) -c -o $@ $<

# The drop-in reads the interpreter's own headers, and unwinds through its wrappers (thread
# cancellation, C++ frames).
build/obj/tools/python/%.o: BASE += -fexceptions -fasynchronous-unwind-tables -I$(PYTHON_INCLUDE)

build/libgil.a: $(LIB_OBJ)
	$(call say,AR,$@) rm -f $@; ar rcs $@ $^

build/libgil.so.$(SOVERSION): $(LIB_OBJ) lib/libgil.map
	$(call say,LD,$@) $(CC) -shared -Wl,-soname,libgil.so.$(SOVERSION) \
	    -Wl,--version-script=lib/libgil.map -Wl,-z,defs -Wl,-z,now $(LDFLAGS) -o $@ \
	    $(LIB_OBJ) -pthread

build/libgil.so: build/libgil.so.$(SOVERSION)
	@ln -sf $(<F) $@

build/gil: $(call obj,$(CLI_SRC)) build/libgil.a
	$(call say,LD,$@) $(CC) $(LDFLAGS) -o $@ $^ -pthread

build/libgil-python3.11.so: $(call obj,$(PY_SRC)) build/libgil.a tools/python/dropin.map
	$(call say,LD,$@) $(CC) -shared -Wl,-soname,$(@F) \
	    -Wl,--version-script=tools/python/dropin.map -Wl,-z,defs -Wl,-z,now \
	    -Wl,--exclude-libs,ALL $(LDFLAGS) -o $@ $(filter %.o,$^) build/libgil.a -pthread -ldl

build/tests/%: tests/unit/%.c build/libgil.a
	@mkdir -p $(@D)
	$(call say,CC,$@) $(COMPILE) -o $@ $< build/libgil.a $(LDFLAGS) \
	    $(shell pkg-config --cflags --libs check) -pthread

clean:
	rm -rf build

-include $(shell find build -name '*.d' 2>/dev/null)
