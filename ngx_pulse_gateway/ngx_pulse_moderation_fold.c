
#include "ngx_pulse_moderation_fold.h"


#define NGX_PULSE_FOLD_LIGATURES       0xfc00
#define NGX_PULSE_FOLD_LIGATURES_LAST  0xfdc7


typedef struct {
    uint32_t     first;
    uint32_t     last;
    const char  *symbols;           /* by turns */
} ngx_pulse_fold_span_t;


typedef struct {
    uint32_t     point;
    char         symbols[NGX_PULSE_FOLD_MAX + 1];
} ngx_pulse_fold_wide_t;


static u_char ngx_pulse_fold_symbol(u_char ch);
static u_char ngx_pulse_fold_find(uint32_t point);


/*
 * What a character is read as.  A symbol is written as the Latin letter or
 * the digit that it is; Arabic letters, in the order of their alphabet, as A
 * to Z, < and >; ' ' is what parts words, '.' is not seen at all, '-' a
 * letter of some other script, '#' more than one symbol.  By compatibility
 * (NFKD of Unicode), without marks and case; then letters of other scripts
 * by what they look like.  Of Arabic: forms of alef are alef, teh marbuta is
 * heh, yeh without dots is yeh, hamza goes with its seat, letters of Persian
 * and Urdu are the ones that Arabic writes in their place.
 */

static const ngx_pulse_fold_span_t  ngx_pulse_fold_spans[] = {
    { 0x0000, 0x007f,
      "                                                0123456789      "
      " abcdefghijklmnopqrstuvwxyz      abcdefghijklmnopqrstuvwxyz     " },

    { 0x0080, 0x077f,
      "                                          a  .    23 -   1o ### "
      "aaaaaa#ceeeeiiiidnooooo ouuuuyp#aaaaaa#ceeeeiiiidnooooo ouuuuypy"
      "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii##jjkk-lllllll"
      "lllnnnnnnnnnoooooo##rrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs"
      "bb--bbcccdd---eeeffgy-iikkl-mnnooo##pprssslttttuuuvyyzzz--z----p"
      "----#########aaiioouuuuuuuuuueaaaa##--ggkkoooozzj###gg-pnnaa##oo"
      "aaaaeeeeiiiioooorrrruuuusstt--hhndoozzaaeeooooooooyylntj##acclts"
      "z--buveejjqqrryyaaabccddee-eeeejgggyyhhhiiillllmmmnnnoooorrrrrrr"
      "rrssj--ttuuvvwyyzzz------b-ghjklq--#########----hhjrrrrwy......."
      "..    ............              ylsx-       . .                 "
      "................................................................"
      "................................................----. ----.--- j"
      "----  a ehi-o-ywiaby-ezh-ik-mn-o-p-oty-x-wiyaeniuaby-e-n-ik--v-o"
      "-p-otu-x-wiuouw-b-yyy---------------------------kpcj-e --c------"
      "ee-r-siij---k-y-a-br-e-3--k-mho-pcty-x------b---a-br-e-3--k-mho-"
      "pcty-x------b---ee-r-siij---k-y---------------------vvvv--------"
      "-- .......------------------------------------yy----------hh----"
      "l--------hh----laaaa--ee------33------oo------yyyyyy------------"
      "dd----------gg------------qqww----------------------------------"
      "-------------------------.      --------------------------------"
      "---------  --   -............................................. ."
      " .. .. .-------------------------------------------  -----------"
      "......          ........... .   >.AA<A>ABZCDEFGHIJKLMNOPQRSVV---"
      ".TUVWXYZ<>>.....................0123456789    BU.AAA.A<<>CDBCDBC"
      "BFFEEGEEHH--IHI--J-JJJ-KKKLLMNOQSTTTTT-UUVVVVVVVV----WWWWYYYYYZ-"
      "ZZZZ<<<<<<<<>>><>>>> Z........ .......... ....--0123456789MOS  Z"
      "              -.-.------------------------------................"
      "...........-----------------------------------------------------" },

    { 0x0880, 0x08ff,
      "-------- -------..------........--------------------------------"
      "---------......................................................." },

    { 0x1d00, 0x21ff,
      "a#--cd-e--jk-mno--------prrtu---vwz---------a#b.deeghijklmn.oopr"
      "tuwaaa-bdeeeeg.kmnoc--ptu-mv-by--xiruvbyp-x-------------hg-i-pu-"
      "---------------------------accdefjghiiiijl-lmmnnnoosstuuuvvzzzz-"
      "................................................................"
      "aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmm"
      "mmmmnnnnnnnnoooooooopppprrrrrrrrssssssssssttttttttuuuuuuuuuuvvvv"
      "wwwwwwwwwwxxxxyyzzzzzzhtwyas--#-aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeee"
      "eeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy------"
      "aaaaaaaaaaaaaaaaeeeeee--eeeeee--nnnnnnnnhhhhhhhhiiiiiiiiiiiiiiii"
      "oooooo--oooooo--uuuuuuuu-y-y-y-ywwwwwwwwwwwwwwwwaaeenniioouuww--"
      "aaaaaaaaaaaaaaaannnnnnnnhhhhhhhhwwwwwwwwwwwwwwwwaaaaa-aaaaaaa i "
      "  nnn-nneehhh   iiii--iiiiii-   uuuuppuuyyyyp   --www-wwoowww  -"
      "           .....                          .....                 "
      "                                .....-..........0i--456789     n"
      "0123456789     -aeoxehklmnpst---        #                       "
      " ---------------.................................---------------"
      "--cc --e fghhhhhiill n-  pqrrr  --- z w z kabceeef-mo----i --yy-"
      "     ddeij    - ---------------1i---v----x--lcdmi---v----x--lcdm"
      "----------  ----                                                "
      "                                                                " },

    { 0x2440, 0x24ff,
      "           ---------------------123456789-----------123456789---"
      "--------123456789-----------abcdefghijklmnopqrstuvwxyzabcdefghij"
      "klmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz0----------123456789-0" },

    { 0x2740, 0x27bf,
      "                                                      123456789-"
      "123456789-123456789-                                            " },

    { 0x2c40, 0x2c7f,
      "--------------------------------lllprathhkkzzamaavww--------jvsz" },

    { 0x2e00, 0x2e7f,
      "                                               .                "
      "                              ----------------------------------" },

    { 0x3000, 0x303f,
      "     .--                         ---------....-- .....  ---.-   " },

    { 0xa700, 0xa7ff,
      "                       .........  --------------fs--------------"
      "-------------------------------------------------------------g--"
      "--------.  ..h----------------------------hegliqktj-------------"
      "-----s--------------------------------------------cfq---h-------" },

    { 0xab40, 0xab7f,
      "--------------------------- --l----------w  --------------------" },

    { 0xfb00, 0xfbff,
      "#######-----------------------.---------- ----------------------"
      "----------------AABBBBBBBBBBBBDDDDCCCCCCCCTTTT----EEEEEEEEEEEEEE"
      "EEHHIIIIHHKKJJVVVVVVVV--------YYYYYYZZZZZZZZZZ>>>>              "
      "   ----------------VVVV<<<<<<<<<<<<<>>>>>>##################>>>>" },

    { 0xfdc0, 0xffff,
      "--------------- ---------------------------------------------   "
      "................          ------................                "
      "                   -                   -    ----................"
      ".AAAA<<AA>>>>AABBBBZZCCCCDDDDEEEEFFFFGGGGHHIIJJKKLLLLMMMMNNNNOOO"
      "OPPPPQQQQRRRRSSSSTTTTUUUUVVVVWWWWXXXXYYYYZZZZ<<>>>>>>########--."
      "-               0123456789       abcdefghijklmnopqrstuvwxyz     "
      " abcdefghijklmnopqrstuvwxyz           ----------.---------------"
      "------------------------------...-------------------------------"
      "--------------------------------       -       -..............--" },

    { 0x180b, 0x180e, "." },
    { 0x1ab0, 0x1aff, "." },
    { 0x2200, 0x243f, " " },
    { 0x2500, 0x273f, " " },
    { 0x27c0, 0x2bff, " " },
    { 0x1d400, 0x1d6a3, "abcdefghijklmnopqrstuvwxyz" },
    { 0x1d7ce, 0x1d7ff, "0123456789" },
    { 0x1ee00, 0x1eebf,
      "ABEH-<KFP>VWXYLRTNUJMCDGIOQSBYTU-BE-Z--F->VWXYLRTNU-MCDG-O-S----"
      "--E----F->-W-YLR-NU-M--G-O-S-Y-U-BE-Z--FP>V-XYLRTNU-MCDG-OQSB-T-"
      "ABEHZ<KFP>-WXYLRTNUJMCDGIOQS-----BEH-<KFP>-WXYLRTNUJMCDGIOQS----" },
    { 0x1f000, 0x1f10f, " " },
    { 0x1f110, 0x1f129, "abcdefghijklmnopqrstuvwxyz" },
    { 0x1f130, 0x1f149, "abcdefghijklmnopqrstuvwxyz" },
    { 0x1f150, 0x1f169, "abcdefghijklmnopqrstuvwxyz" },
    { 0x1f170, 0x1f189, "abcdefghijklmnopqrstuvwxyz" },
    { 0x1f1e6, 0x1f1ff, "abcdefghijklmnopqrstuvwxyz" },
    { 0x1f200, 0x1faff, " " },
    { 0xe0000, 0xe01ef, "." }
};

#define NGX_PULSE_FOLD_SPANS                                                  \
    (sizeof(ngx_pulse_fold_spans) / sizeof(ngx_pulse_fold_spans[0]))


static const ngx_pulse_fold_wide_t  ngx_pulse_fold_wides[] = {
    { 0x00bc, "14" }, { 0x00bd, "12" }, { 0x00be, "34" }, { 0x00c6, "ae" },
    { 0x00df, "ss" }, { 0x00e6, "ae" }, { 0x0132, "ij" }, { 0x0133, "ij" },
    { 0x0152, "oe" }, { 0x0153, "oe" }, { 0x01a2, "oi" }, { 0x01a3, "oi" },
    { 0x01c4, "dz" }, { 0x01c5, "dz" }, { 0x01c6, "dz" }, { 0x01c7, "lj" },
    { 0x01c8, "lj" }, { 0x01c9, "lj" }, { 0x01ca, "nj" }, { 0x01cb, "nj" },
    { 0x01cc, "nj" }, { 0x01e2, "ae" }, { 0x01e3, "ae" }, { 0x01f1, "dz" },
    { 0x01f2, "dz" }, { 0x01f3, "dz" }, { 0x01fc, "ae" }, { 0x01fd, "ae" },
    { 0x0238, "db" }, { 0x0239, "qp" }, { 0x02a3, "dz" }, { 0x02a4, "dz" },
    { 0x02a5, "dz" }, { 0x02a6, "ts" }, { 0x02a7, "ts" }, { 0x02a8, "tc" },
    { 0x02a9, "fn" }, { 0x02aa, "ls" }, { 0x02ab, "lz" }, { 0x1d01, "ae" },
    { 0x1d2d, "ae" }, { 0x1e9e, "ss" }, { 0x20a8, "rs" }, { 0xfb00, "ff" },
    { 0xfb01, "fi" }, { 0xfb02, "fl" }, { 0xfb03, "ffi" }, { 0xfb04, "ffl" },
    { 0xfb05, "st" }, { 0xfb06, "st" }, { 0xfbea, ">A" }, { 0xfbeb, ">A" },
    { 0xfbec, ">Z" }, { 0xfbed, ">Z" }, { 0xfbee, "><" }, { 0xfbef, "><" },
    { 0xfbf0, "><" }, { 0xfbf1, "><" }, { 0xfbf2, "><" }, { 0xfbf3, "><" },
    { 0xfbf4, "><" }, { 0xfbf5, "><" }, { 0xfbf6, ">>" }, { 0xfbf7, ">>" },
    { 0xfbf8, ">>" }, { 0xfbf9, ">>" }, { 0xfbfa, ">>" }, { 0xfbfb, ">>" },
    { 0xfef5, "WA" }, { 0xfef6, "WA" }, { 0xfef7, "WA" }, { 0xfef8, "WA" },
    { 0xfef9, "WA" }, { 0xfefa, "WA" }, { 0xfefb, "WA" }, { 0xfefc, "WA" },
    { 0, "" }
};


/* ligatures of Arabic, three symbols for each */

static const char  ngx_pulse_fold_ligatures[] =
    ">E.>F.>X.>>.>>.BE.BF.BG.BX.B>.B>.CE.CF.CG.CX.C>.C>.DE.DX.D>.D>.EF."
    "EX.FE.FX.GE.GF.GX.LE.LF.LG.LX.NF.NX.OE.OF.OG.OX.PF.PX.QX.RE.RX.SE."
    "SX.TE.TF.TG.TX.T>.T>.UF.UX.U>.U>.VA.VE.VF.VG.VW.VX.V>.V>.WE.WF.WG."
    "WX.W>.W>.XE.XF.XG.XX.X>.X>.YE.YF.YG.YX.Y>.Y>.ZE.ZX.Z>.Z>.>E.>F.>G."
    ">X.>>.>>.I..J..>....................>J.>K.>X.>Y.>>.>>.BJ.BK.BX.BY."
    "B>.B>.CJ.CK.CX.CY.C>.C>.DJ.DK.DX.DY.D>.D>.T>.T>.U>.U>.VA.VW.VX.V>."
    "V>.WX.W>.W>.XA.XX.YJ.YK.YX.YY.Y>.Y>.>..>J.>K.>X.>Y.>>.>>.>E.>F.>G."
    ">X.>Z.BE.BF.BG.BX.BZ.CE.CF.CG.CX.CZ.DX.EF.EX.FE.FX.GE.GX.LE.LF.LG."
    "LX.NF.NG.NX.OE.OF.OG.OX.PF.QX.RE.RX.SE.SX.TE.TF.TG.TX.UF.UX.VE.VF."
    "VG.VW.VX.WE.WF.WG.WX.WZ.XE.XF.XG.XX.YE.YF.YG.YX.YZ.ZE.ZX.Z..>E.>F."
    ">G.>X.>Z.>X.>Z.BX.BZ.CX.CZ.DX.DZ.LX.LZ.MX.MZ.VW.VX.WX.YX.YZ.>X.>Z."
    ".........P>.P>.R>.R>.S>.S>.L>.L>.M>.M>.F>.F>.E>.E>.G>.G>.N>.N>.O>."
    "O>.ME.MF.MG.MX.MJ.LJ.NJ.OJ.P>.P>.R>.R>.S>.S>.L>.L>.M>.M>.F>.F>.E>."
    "E>.G>.G>.N>.N>.O>.O>.ME.MF.MG.MX.MJ.LJ.NJ.OJ.ME.MF.MG.MX.LZ.MZ.PX."
    "LE.LF.LG.ME.MF.MG.PX.QX.A..A......................................"
    "..................CEXCFECFECFXCGXCXECXFCXGEXFEXFFX>FX>LFELEFLE>LXF"
    "LXFLXELXXLXXNFFNFFNXXMFXMFXME>MXGMXGMXXMXXOF>OGXOGXPXFPXFPXXPX>REX"
    "RXXRXXRX>SXXSX>SX>TGXTGXUXFUXXWFXWF>WF>WEEWEEWGXWGXWXFWXFXFEXFXXF>"
    "XEFXEXXGEXGX-..-..XEGZXEZXXYFXYF>YEXYEXYE>YX>YX>>XX>XXBG>CE>CE>CG>"
    "CG>CX>CX>EX>EF>EX>LG>NF>MF>OF>WE>WX>>F>>E>>X>XX>UX>YF>UXFWFXRX>VX>"
    "YEFXG>WEXVXXWEXYEFEF>FE>XE>TX>BF>VXXREXNXXLG>YE>";


void
ngx_pulse_fold_table(u_char *table)
{
    uint32_t  point;

    for (point = 0; point < NGX_PULSE_FOLD_POINTS; point++) {
        table[point] = ngx_pulse_fold_find(point);
    }
}


static u_char
ngx_pulse_fold_find(uint32_t point)
{
    size_t                        i;
    const ngx_pulse_fold_span_t  *span;

    if (point >= NGX_PULSE_FOLD_LIGATURES
        && point <= NGX_PULSE_FOLD_LIGATURES_LAST)
    {
        return NGX_PULSE_FOLD_WIDE;
    }

    for (i = 0; i < NGX_PULSE_FOLD_SPANS; i++) {
        span = &ngx_pulse_fold_spans[i];

        if (point >= span->first && point <= span->last) {
            i = (point - span->first) % ngx_strlen(span->symbols);

            return ngx_pulse_fold_symbol(span->symbols[i]);
        }
    }

    return NGX_PULSE_FOLD_OTHER;
}


static u_char
ngx_pulse_fold_symbol(u_char ch)
{
    if (ch >= 'a' && ch <= 'z') {
        return NGX_PULSE_FOLD_LATIN + (ch - 'a');
    }

    if (ch >= '0' && ch <= '9') {
        return NGX_PULSE_FOLD_DIGIT + (ch - '0');
    }

    if (ch >= 'A' && ch <= 'Z') {
        return NGX_PULSE_FOLD_ARABIC + (ch - 'A');
    }

    switch (ch) {

    case ' ':
        return NGX_PULSE_FOLD_BOUNDARY;

    case '<':
        return NGX_PULSE_FOLD_ARABIC + 26;

    case '>':
        return NGX_PULSE_FOLD_ARABIC + 27;

    case '.':
        return NGX_PULSE_FOLD_NONE;

    case '#':
        return NGX_PULSE_FOLD_WIDE;

    default: /* '-' */
        return NGX_PULSE_FOLD_OTHER;
    }
}


ngx_uint_t
ngx_pulse_fold_point(uint32_t point, u_char *symbols)
{
    u_char                        symbol;
    ngx_uint_t                    i, n;
    const char                   *p;
    const ngx_pulse_fold_wide_t  *wide;

    symbol = ngx_pulse_fold_find(point);

    if (symbol == NGX_PULSE_FOLD_NONE) {
        return 0;
    }

    if (symbol != NGX_PULSE_FOLD_WIDE) {
        symbols[0] = symbol;
        return 1;
    }

    if (point >= NGX_PULSE_FOLD_LIGATURES
        && point <= NGX_PULSE_FOLD_LIGATURES_LAST)
    {
        p = &ngx_pulse_fold_ligatures[(point - NGX_PULSE_FOLD_LIGATURES)
                                      * NGX_PULSE_FOLD_MAX];

    } else {
        wide = ngx_pulse_fold_wides;

        while (wide->point && wide->point != point) {
            wide++;
        }

        p = wide->symbols;
    }

    for (i = 0, n = 0; i < NGX_PULSE_FOLD_MAX && p[i]; i++) {
        symbol = ngx_pulse_fold_symbol(p[i]);

        if (symbol != NGX_PULSE_FOLD_NONE) {
            symbols[n++] = symbol;
        }
    }

    return n;
}
