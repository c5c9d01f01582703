/* jpeg_tool - writes JPEGs that Pillow cannot write: any sampling factors, YCCK, arithmetic coding,
 * restart markers, several scans without being progressive.
 *
 *   jpeg_tool W H COLOUR QUALITY H1xV1[,H2xV2...] FLAGS < pixels > jpeg
 *
 * COLOUR: grey, rgb (stored so), ycc, cmyk, ycck. Pixels have 1, 3 or 4 bytes. FLAGS: any of
 * p(rogressive), a(rithmetic), o(ptimised), r(estart every 3 MCUs), s(cans, one a component),
 * n(either JFIF nor Adobe marker). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

static const struct {
    const char *name;
    int n;
    J_COLOR_SPACE in, stored;
} colours[] = {
    { "grey", 1, JCS_GRAYSCALE, JCS_GRAYSCALE },
    { "rgb", 3, JCS_RGB, JCS_RGB },
    { "ycc", 3, JCS_RGB, JCS_YCbCr },
    { "cmyk", 4, JCS_CMYK, JCS_CMYK },
    { "ycck", 4, JCS_CMYK, JCS_YCCK },
};

static void set_up(struct jpeg_compress_struct *c, char **argv, jpeg_scan_info *scans)
{
    size_t k = 0;
    while (k + 1 < sizeof colours / sizeof *colours && strcmp(argv[3], colours[k].name))
        k++;
    c->image_width = (JDIMENSION)strtoul(argv[1], NULL, 10);
    c->image_height = (JDIMENSION)strtoul(argv[2], NULL, 10);
    c->input_components = colours[k].n;
    c->in_color_space = colours[k].in;
    jpeg_set_defaults(c);
    jpeg_set_colorspace(c, colours[k].stored);
    jpeg_set_quality(c, (int)strtol(argv[4], NULL, 10), TRUE);
    const char *s = argv[5]; /* components that it does not name keep libjpeg's, 1x1 or 2x2 */
    for (int i = 0; i < c->num_components && s; i++, s = strchr(s, ',') ? strchr(s, ',') + 1 : NULL)
        sscanf(s, "%dx%d", &c->comp_info[i].h_samp_factor, &c->comp_info[i].v_samp_factor);
    const char *flags = argv[6];
    if (strchr(flags, 'p'))
        jpeg_simple_progression(c);
    c->arith_code = strchr(flags, 'a') != NULL;
    c->optimize_coding = strchr(flags, 'o') != NULL;
    c->restart_interval = strchr(flags, 'r') ? 3 : 0;
    if (strchr(flags, 'n'))
        c->write_JFIF_header = c->write_Adobe_marker = FALSE;
    if (strchr(flags, 's')) {
        for (int i = 0; i < c->num_components; i++)
            scans[i] = (jpeg_scan_info){ .comps_in_scan = 1, .component_index = { i }, .Se = 63 };
        c->scan_info = scans;
        c->num_scans = c->num_components;
    }
}

int main(int argc, char **argv)
{
    if (argc != 7)
        return 2;
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr e;
    jpeg_scan_info scans[4];
    c.err = jpeg_std_error(&e);
    jpeg_create_compress(&c);
    jpeg_stdio_dest(&c, stdout);
    set_up(&c, argv, scans);
    jpeg_start_compress(&c, TRUE);
    size_t stride = (size_t)c.image_width * (size_t)c.input_components;
    JSAMPROW row = malloc(stride);
    while (row && c.next_scanline < c.image_height && fread(row, 1, stride, stdin) == stride)
        jpeg_write_scanlines(&c, &row, 1);
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    free(row);
    return 0;
}
