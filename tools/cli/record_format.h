/* How a record file is laid out, for its writer and its reader.
 *
 *   struct record_header
 *   then any number of: struct record_chunk_header, and as many bytes of records as it says
 *
 * A record is a byte, enum record_kind, and numbers and texts. A number is in groups of seven bits,
 * the lowest first, each but the last with the top bit set; one that may be negative, or is the
 * difference to what the record before had, is "zigzag" first: 0, -1, 1, -2 become 0, 1, 2, 3. A text
 * is its length and its bytes. No record depends on another chunk.
 *
 * An event is RECORD_EVENT + its kind, then: flags, time, duration, lock, process, thread, function,
 * line, other thread, and what its kind has in the union (bpf/shared.h). Time, lock and process are
 * differences to the event before, thread to the process, other thread to the thread; duration,
 * function and line are as they are.
 *
 * The headers are in the byte order of the machine, which `order` shows. The first 16 bytes are the
 * same in all versions. */
#ifndef GIL_CLI_RECORD_FORMAT_H
#define GIL_CLI_RECORD_FORMAT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define RECORD_MAGIC   "\x89gilrec\n" /* no text, and not what a transfer as text leaves of it */
#define RECORD_ORDER   0x01020304u
#define RECORD_VERSION 1u

struct record_header {
    char magic[8];
    uint32_t order, version;
    uint64_t start_ns, wall_ns;
    char machine[16];
    uint32_t tier;
    uint32_t checksum; /* of all before it */
};

struct record_chunk_header {
    uint32_t magic, length; /* of the records, in bytes */
    uint32_t checksum;      /* of magic, length and the records */
    uint32_t reserved;
};

_Static_assert(sizeof(struct record_header) == 56, "the header of a file");
_Static_assert(sizeof(struct record_chunk_header) == 16, "the header of a chunk");

#define RECORD_CHUNK_MAGIC 0x6b6e6863u /* "chnk" */

enum record_kind {
    RECORD_END = 1,  /* time */
    RECORD_PROCESS,  /* pid, ns_pid, name */
    RECORD_THREAD,   /* pid, tid, ns_tid, name */
    RECORD_FUNCTION, /* number, language, pid, line, name, file */
    RECORD_LOSS,     /* class, count, name */
    RECORD_EVENT = 16,
};

/* Where sums begin. */
#define RECORD_CHECKSUM 0x9e3779b97f4a7c15u

/* Goes on with a checksum. Each step can be undone for the same input, so that a change of one word
 * is never missed. */
static inline uint64_t record_checksum(uint64_t sum, const void *bytes, size_t size)
{
    const char *at = (const char *)bytes;

    while (size > 0) {
        size_t part = size < sizeof(uint64_t) ? size : sizeof(uint64_t);
        uint64_t word = 0;

        memcpy(&word, at, part);
        sum = (sum ^ word) * 0xff51afd7ed558ccdu;
        sum ^= sum >> 32;
        at += part;
        size -= part;
    }
    return sum;
}

#endif
