/* See text.h. */
#include "tools/cli/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Of UTF-8's 1 to 4 bytes a character: how many bytes one with this first byte has, 0 if none. */
static int length_of(unsigned char first)
{
    return first < 0x80    ? 1
           : first < 0xc2  ? 0
           : first < 0xe0  ? 2
           : first < 0xf0  ? 3
           : first <= 0xf4 ? 4
                           : 0;
}

/* The character at text and how many bytes it has; 0 bytes if it is not valid UTF-8. */
static uint32_t decode(const char *text, int *length)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *byte = (const unsigned char *)text;
    int count = length_of(byte[0]);
    uint32_t c = count == 1 ? byte[0] : byte[0] & (0x7f >> count);

    *length = 0;
    if (count == 0)
        return 0;
    for (int i = 1; i < count; i++) {
        if ((byte[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (byte[i] & 0x3f);
    }
    if (c < smallest[count] || c > 0x10ffff)
        return 0;
    *length = count;
    return c;
}

/* Control characters (those from 0x80 on, too), halves of pairs, and what XML does not allow. */
static int is_harmless(uint32_t c)
{
    return c >= 0x20 && !(c >= 0x7f && c < 0xa0) && !(c >= 0xd800 && c < 0xe000) && c != 0xfffe &&
           c != 0xffff;
}

char *text_clean(char *text)
{
    const char *from = text;
    char *to = text;

    while (*from) {
        int length;
        uint32_t c = decode(from, &length);

        if (length && is_harmless(c)) {
            memmove(to, from, length);
            to += length;
        } else {
            *to++ = '?';
        }
        from += length ? length : 1;
    }
    *to = 0;
    return text;
}

int text_width(const char *text)
{
    int width = 0;

    for (; *text; text++)
        width += (*text & 0xc0) != 0x80;
    return width;
}

void text_json(FILE *out, const char *text)
{
    putc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putc('\\', out);
        putc(*text, out);
    }
    putc('"', out);
}

static void xml_byte(FILE *out, char byte)
{
    switch (byte) {
    case '&':
        fputs("&amp;", out);
        break;
    case '<':
        fputs("&lt;", out);
        break;
    case '>':
        fputs("&gt;", out);
        break;
    case '"':
        fputs("&quot;", out);
        break;
    default:
        putc(byte, out);
    }
}

void text_xml(FILE *out, const char *text)
{
    for (; *text; text++)
        xml_byte(out, *text);
}

/* How many bytes of the text there is room for, with an ellipsis if that is not all. */
static size_t bytes_within(const char *text, int width, bool *fits)
{
    const char *at = text;

    *fits = text_width(text) <= width;
    for (int left = *fits ? width : width - 1; *at && left > 0; left--)
        at += length_of((unsigned char)*at);
    return (size_t)(at - text);
}

void text_xml_cut(FILE *out, const char *text, int width)
{
    bool fits;
    size_t size = bytes_within(text, width, &fits);

    for (size_t i = 0; i < size; i++)
        xml_byte(out, text[i]);
    if (!fits)
        fputs("…", out);
}

void text_cut(FILE *out, const char *text, int width)
{
    bool fits;

    fwrite(text, 1, bytes_within(text, width, &fits), out);
    if (!fits)
        fputs("…", out);
}

void text_column(FILE *out, const char *text, int width)
{
    int blanks = width - text_width(text);

    text_cut(out, text, width);
    if (blanks > 0)
        fprintf(out, "%*s", blanks, "");
}
