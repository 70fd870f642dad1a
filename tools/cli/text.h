/* Text that comes from elsewhere: names of threads, functions and files.
 *
 * Invariant: what has gone through text_clean() can be printed on a terminal, and stand in JSON (by
 * text_json) and XML (by text_xml), whatever it was before. */
#ifndef GIL_CLI_TEXT_H
#define GIL_CLI_TEXT_H

#include <stdio.h>

/* Replaces each control character, and each byte that is not of valid UTF-8, by a '?'. Returns text,
 * which never becomes longer. */
char *text_clean(char *text);

/* How many columns clean text takes: one a character. */
int text_width(const char *text);

/* Writes clean text as a JSON string, with its quotes. */
void text_json(FILE *out, const char *text);

/* Writes clean text as the content of an XML element or attribute. */
void text_xml(FILE *out, const char *text);

/* The same, in `width` columns at most: its end may be cut off ("handle_requ…"). */
void text_xml_cut(FILE *out, const char *text, int width);

/* Writes clean text in `width` columns at most. */
void text_cut(FILE *out, const char *text, int width);

/* The same with blanks behind it, so that it takes all of them. */
void text_column(FILE *out, const char *text, int width);

#endif
