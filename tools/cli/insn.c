/* See insn.h. The instruction formats are those of the processor manuals, volume 2, appendix A:
 * prefixes, opcode of one of four maps, ModRM byte, SIB byte, displacement, immediate. */
#include "tools/cli/insn.h"

enum map { MAP_ONE_BYTE, MAP_0F, MAP_0F38, MAP_0F3A };

struct insn {
    const uint8_t *code;
    size_t size, at; /* bytes that may be read; that have been decoded */
    bool operand16, address32, wide, vector;
    enum map map;
    uint8_t opcode;
};

/* The next byte, without taking it; 0 at the end, which insn_length() notices. */
static uint8_t peek(const struct insn *i)
{
    return i->at < i->size ? i->code[i->at] : 0;
}

static void take_prefixes(struct insn *i)
{
    for (;; i->at++) {
        switch (peek(i)) {
        case 0x66:
            i->operand16 = true;
            break;
        case 0x67:
            i->address32 = true;
            break;
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
        case 0x64:
        case 0x65:
        case 0xf0:
        case 0xf2:
        case 0xf3:
            break;
        default:
            if ((peek(i) & 0xf0) == 0x40) /* REX: right before the opcode */
                i->wide = i->code[i->at++] & 8;
            return;
        }
        if (i->at >= i->size)
            return;
    }
}

/* VEX and EVEX prefixes say which map the opcode is of. */
static void take_vector_prefix(struct insn *i)
{
    uint8_t first = i->code[i->at++], second = peek(i);

    i->vector = true;
    i->map = first == 0xc5 ? MAP_0F : (enum map)(second & 3);
    i->at += first == 0xc5 ? 1 : first == 0xc4 ? 2 : 3;
    i->opcode = peek(i);
    i->at++;
}

static void take_opcode(struct insn *i)
{
    uint8_t first = peek(i);

    if (first == 0xc4 || first == 0xc5 || first == 0x62) {
        take_vector_prefix(i);
        return;
    }
    i->at++;
    i->opcode = first;
    if (first != 0x0f)
        return;
    i->map = MAP_0F;
    i->opcode = peek(i);
    i->at++;
    if (i->opcode != 0x38 && i->opcode != 0x3a)
        return;
    i->map = i->opcode == 0x38 ? MAP_0F38 : MAP_0F3A;
    i->opcode = peek(i);
    i->at++;
}

static bool has_modrm(const struct insn *i)
{
    uint8_t op = i->opcode;

    if (i->map == MAP_0F)
        return !((op >= 0x05 && op <= 0x0b && op != 0x0a) || (op >= 0x30 && op <= 0x37) ||
                 op == 0x77 || (op >= 0x80 && op <= 0x8f && !i->vector) ||
                 (op >= 0xa0 && op <= 0xa2) || (op >= 0xa8 && op <= 0xaa) ||
                 (op >= 0xc8 && op <= 0xcf));
    if (i->map != MAP_ONE_BYTE)
        return true;
    return (op < 0x40 && (op & 7) < 4) || op == 0x63 || op == 0x69 || op == 0x6b ||
           (op >= 0x80 && op <= 0x8f) || op == 0xc0 || op == 0xc1 || op == 0xc6 || op == 0xc7 ||
           (op >= 0xd0 && op <= 0xd3) || (op >= 0xd8 && op <= 0xdf) || op == 0xf6 || op == 0xf7 ||
           op >= 0xfe;
}

static void take_modrm(struct insn *i)
{
    uint8_t modrm = peek(i), mod = modrm >> 6, rm = modrm & 7;

    i->at++;
    if (mod == 3)
        return;
    if (rm == 4) {
        if (mod == 0 && (peek(i) & 7) == 5)
            i->at += 4; /* a displacement instead of a base */
        i->at++;
    } else if (mod == 0 && rm == 5) {
        i->at += 4; /* relative to the instruction */
    }
    i->at += mod == 1 ? 1 : mod == 2 ? 4 : 0;
}

/* How many bytes the immediate operand of a one-byte opcode has; test_group: of f6 and f7, whose
 * first two instructions have one. */
static size_t immediate_one_byte(const struct insn *i, bool test_group)
{
    size_t word = i->operand16 ? 2 : 4;
    uint8_t op = i->opcode;

    if (op < 0x40)
        return (op & 7) == 4 ? 1 : (op & 7) == 5 ? word : 0;
    if ((op & 0xf0) == 0x70 || (op & 0xf8) == 0xb0 || (op & 0xf8) == 0xe0)
        return op == 0xe8 || op == 0xe9 ? 4 : 1;
    if ((op & 0xf8) == 0xb8)
        return i->wide ? 8 : word;
    switch (op) {
    case 0x6a:
    case 0x6b:
    case 0x80:
    case 0x82:
    case 0x83:
    case 0xa8:
    case 0xc0:
    case 0xc1:
    case 0xc6:
    case 0xcd:
    case 0xd4:
    case 0xd5:
    case 0xeb:
        return 1;
    case 0x68:
    case 0x69:
    case 0x81:
    case 0xa9:
    case 0xc7:
        return word;
    case 0xe8:
    case 0xe9:
        return 4;
    case 0xc2:
    case 0xca:
        return 2;
    case 0xc8:
        return 3;
    case 0xa0:
    case 0xa1:
    case 0xa2:
    case 0xa3:
        return i->address32 ? 4 : 8;
    case 0xf6:
        return test_group ? 1 : 0;
    case 0xf7:
        return test_group ? word : 0;
    default:
        return 0;
    }
}

static size_t immediate(const struct insn *i, bool test_group)
{
    uint8_t op = i->opcode;

    if (i->map == MAP_ONE_BYTE)
        return immediate_one_byte(i, test_group);
    if (i->map != MAP_0F)
        return i->map == MAP_0F3A;
    if (op >= 0x80 && op <= 0x8f && !i->vector)
        return 4;
    return (op >= 0x70 && op <= 0x73) || op == 0xa4 || op == 0xac || op == 0xba || op == 0xc2 ||
           (op >= 0xc4 && op <= 0xc6);
}

size_t insn_length(const uint8_t *code, size_t size)
{
    struct insn i = {.code = code, .size = size};
    bool test_group = false;

    take_prefixes(&i);
    if (i.at >= size)
        return 0;
    take_opcode(&i);
    if (has_modrm(&i)) {
        test_group = (peek(&i) >> 3 & 7) < 2;
        take_modrm(&i);
    }
    i.at += immediate(&i, test_group);
    return i.at <= size ? i.at : 0;
}

bool insn_begins(const uint8_t *code, size_t at, size_t size)
{
    size_t here = 0;

    while (here < at) {
        size_t length = insn_length(code + here, size - here);

        if (length == 0)
            return false;
        here += length;
    }
    return here == at;
}
