/* The reader of records, and all that gil report makes of them, given files that nobody wrote.
 *
 *   damage FILE...       each file cut off at each byte, and with each byte changed in three ways
 *   make check-fuzz      the same checks for what libFuzzer makes up (FUZZER is defined)
 *
 * A changed byte seldom gets past a checksum, so each input is read once as it is and once with
 * checksums that fit. Invariant: whatever the file, reading ends, with 0 or one line that says why. A
 * sanitizer looks at the rest. */
#define _GNU_SOURCE

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tools/cli/record_file.h"
#include "tools/cli/record_format.h"
#include "tools/cli/report_forms.h"

#define FILE_MAX 65536 /* bytes */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Gives the header and each chunk the checksum of what is in it. */
static void seal(unsigned char *file, size_t size)
{
    struct record_header header;
    struct record_chunk_header chunk;

    if (size < sizeof header)
        return;
    memcpy(&header, file, sizeof header);
    header.checksum = (uint32_t)record_checksum(RECORD_CHECKSUM, &header,
                                                offsetof(struct record_header, checksum));
    memcpy(file, &header, sizeof header);
    for (size_t at = sizeof header; size - at > sizeof chunk; at += sizeof chunk + chunk.length) {
        uint64_t sum;

        memcpy(&chunk, file + at, sizeof chunk);
        if (chunk.length > size - at - sizeof chunk)
            return;
        sum = record_checksum(RECORD_CHECKSUM, &chunk,
                              offsetof(struct record_chunk_header, checksum));
        chunk.checksum = (uint32_t)record_checksum(sum, file + at + sizeof chunk, chunk.length);
        memcpy(file + at, &chunk, sizeof chunk);
    }
}

static void check(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "damage: %s\n", what);
    abort();
}

/* A result comes with a line that says why if it is an error, and only then. */
static void check_status(const struct record_reader *reader, int status)
{
    const char *why = record_reader_why(reader);

    check(status <= 0, "a status is 0 or an error");
    check((status != 0) == (*why != 0), "an error has its line");
    check(!strchr(why, '\n'), "it is one line");
}

static void print_all(FILE *out, const struct report *report)
{
    check(report_text(out, report, "a file", 10) && report_json(out, report) &&
              report_folded(out, report, REPORT_BY_HOLD) &&
              report_folded(out, report, REPORT_BY_BLAME) && report_svg(out, report, "a file"),
          "there is memory");
}

/* Reads the file once, for a trace or for the other forms. */
static void read_once(FILE *out, const char *path, bool trace)
{
    struct record_reader *reader;
    int status = record_reader_open(&reader, path);

    check_status(reader, status);
    if (status == 0) {
        struct report *report =
            trace ? report_trace(out, reader, &status) : report_read(reader, NULL, NULL, &status);

        check(report, "there is memory");
        check_status(reader, status);
        if (!trace)
            print_all(out, report);
        report_free(report);
    }
    record_reader_close(reader);
}

static void read_file(const unsigned char *file, size_t size)
{
    static FILE *out;
    char path[32];
    int fd = memfd_create("record", MFD_CLOEXEC);

    if (!out)
        out = fopen("/dev/null", "w");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    check(out && fd >= 0 && write(fd, file, size) == (ssize_t)size, "there is a file");
    read_once(out, path, false);
    read_once(out, path, true);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static unsigned char file[FILE_MAX];

    if (size > sizeof file)
        return -1;
    if (size > 0)
        memcpy(file, bytes, size);
    read_file(file, size);
    seal(file, size);
    read_file(file, size);
    return 0;
}

#ifndef FUZZER
static void damage(unsigned char *file, size_t size)
{
    static const unsigned char changes[] = {0x01, 0x80, 0xff};

    for (size_t cut = 0; cut <= size; cut++)
        LLVMFuzzerTestOneInput(file, cut);
    for (size_t at = 0; at < size; at++)
        for (size_t i = 0; i < sizeof changes; i++) {
            file[at] ^= changes[i];
            LLVMFuzzerTestOneInput(file, size);
            file[at] ^= changes[i];
        }
}

int main(int argc, char **argv)
{
    static unsigned char bytes[FILE_MAX];

    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "r");
        size_t size;

        check(file, "the file can be opened");
        size = fread(bytes, 1, sizeof bytes, file);
        check(size > 0 && feof(file), "the file can be read, and is small enough");
        fclose(file);
        damage(bytes, size);
        printf("%zu bytes of %s, each cut off at and changed\n", size, argv[i]);
    }
    return argc < 2;
}
#endif
