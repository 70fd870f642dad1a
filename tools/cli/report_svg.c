/* gil report --svg: see report_forms.h. Two flame graphs, one below the other: the root is at the
 * bottom of each, and what a frame is called and took is in its title, which browsers show when the
 * pointer is on it. */
#include "tools/cli/report_forms.h"
#include "tools/cli/duration.h"
#include "tools/cli/report_flame.h"
#include "tools/cli/text.h"

#include <string.h>

#define WIDTH        1200 /* pixels, as are all of these */
#define MARGIN       10
#define HEADING      40
#define FRAME_HEIGHT 18
#define LETTER       7    /* how wide one is, about */
#define NARROWEST    0.25 /* narrower frames are left out: nobody would see them */
#define PANEL        (HEADING + (FLAME_DEPTH + 1) * FRAME_HEIGHT + MARGIN)

struct panel {
    FILE *out;
    const struct flame *flame;
    int top;         /* of the panel */
    const char *hue; /* of its frames */
};

/* Frames of the same name have the same colour. */
static unsigned int shade(const char *name)
{
    unsigned int sum = 0;

    for (; *name; name++)
        sum = sum * 31 + (unsigned char)*name;
    return 55 + sum % 25;
}

static void draw_frame(const struct panel *panel, int depth, const char *name, uint64_t from,
                       uint64_t ns)
{
    double scale = (double)(WIDTH - 2 * MARGIN) / (double)panel->flame->ns;
    double x = MARGIN + (double)from * scale, width = (double)ns * scale;
    int y = panel->top + HEADING + (FLAME_DEPTH - depth) * FRAME_HEIGHT;
    int letters = (int)((width - 6) / LETTER);
    char time[DURATION_TEXT];

    if (width < NARROWEST)
        return;
    fputs("<g><title>", panel->out);
    text_xml(panel->out, name);
    fprintf(panel->out, ": %s, %.1f%%</title>", duration_format(time, ns, 0),
            100.0 * (double)ns / (double)panel->flame->ns);
    fprintf(panel->out,
            "<rect x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\" fill=\"hsl(%s,%u%%)\"/>", x, y,
            width, FRAME_HEIGHT - 1, panel->hue, shade(name));
    if (letters >= 3) {
        fprintf(panel->out, "<text x=\"%.2f\" y=\"%d\">", x + 3, y + FRAME_HEIGHT - 5);
        text_xml_cut(panel->out, name, letters);
        fputs("</text>", panel->out);
    }
    fputs("</g>\n", panel->out);
}

/* The frames at a depth, of the leaves from first to the one before last, which are of one frame
 * below; then those above them. */
static void draw_frames(const struct panel *panel, int depth, size_t first, size_t last,
                        uint64_t from)
{
    const struct flame_leaf *leaves = panel->flame->leaves;

    while (depth < FLAME_DEPTH && first < last) {
        const char *name = leaves[first].frames[depth];
        size_t next = first;
        uint64_t ns = 0;

        for (; next < last; next++) {
            const char *other = leaves[next].frames[depth];

            if (name != other && (!name || !other || strcmp(name, other) != 0))
                break;
            ns += leaves[next].ns;
        }
        if (name) {
            draw_frame(panel, depth + 1, name, from, ns);
            draw_frames(panel, depth + 1, first, next, from);
        }
        from += ns;
        first = next;
    }
}

static void draw_panel(const struct panel *panel, const char *heading, const char *empty)
{
    fprintf(panel->out, "<text class=\"heading\" x=\"%d\" y=\"%d\">", MARGIN, panel->top + 25);
    text_xml(panel->out, heading);
    fputs("</text>\n", panel->out);
    if (panel->flame->ns == 0) {
        fprintf(panel->out, "<text x=\"%d\" y=\"%d\">%s</text>\n", MARGIN,
                panel->top + HEADING + FRAME_HEIGHT, empty);
        return;
    }
    draw_frame(panel, 0, "all", 0, panel->flame->ns);
    draw_frames(panel, 0, 0, panel->flame->count, 0);
}

static void draw(FILE *out, const struct flame *held, const struct flame *blame, const char *name)
{
    struct panel held_panel = {out, held, 0, "20,90%"};
    struct panel blame_panel = {out, blame, PANEL, "210,70%"};

    fprintf(out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "viewBox=\"0 0 %d %d\">\n"
            "<style>text{font:12px monospace}.heading{font-size:16px}rect:hover{stroke:black}"
            "</style>\n<title>",
            WIDTH, 2 * PANEL, WIDTH, 2 * PANEL);
    text_xml(out, name);
    fputs("</title>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n", out);
    draw_panel(&held_panel, "Time that the lock was held", "No holds were recorded.");
    draw_panel(&blame_panel, "Blame: time that others waited, by who had the lock",
               "Nobody waited.");
    fputs("</svg>\n", out);
}

bool report_svg(FILE *out, const struct report *report, const char *name)
{
    struct flame held, blame;
    bool done = flame_make(&held, report, REPORT_BY_HOLD);

    done = flame_make(&blame, report, REPORT_BY_BLAME) && done;
    if (done)
        draw(out, &held, &blame, name);
    flame_free(&held);
    flame_free(&blame);
    return done;
}
