"""What the decode helper makes of a file, against Pillow's convert("RGB").

Byte for byte for PNG, BMP, GIF and TIFF, within two levels for WebP and AVIF, over files of every
kind: those that Pillow writes, and those that it reads but cannot write, made here by hand."""
import io
import struct
import subprocess
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

FORMAT = {'png': 2, 'webp': 3, 'gif': 4, 'tiff': 5, 'heic': 6, 'avif': 7, 'jxl': 8, 'bmp': 9, 'raw': 10}
pytestmark = pytest.mark.filterwarnings('ignore')  # Pillow on the modes it writes
SIZES = [(1, 1), (7, 5), (33, 19), (64, 40)]


class Helper:
    """decode_tool at the end of a pipe: one process, as the engine keeps one."""

    def __init__(self, build):
        self.process = subprocess.Popen([build / 'tests/decode_tool', build / 'fovea-decode'],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, path, kind, contract='reference'):
        """The pixels, or the words of the refusal."""
        self.process.stdin.write(f'{contract} {FORMAT[kind]} {path}\n'.encode())
        self.process.stdin.flush()
        head = self.process.stdout.readline().decode()
        if not head.startswith('ok '):
            return head.strip()
        w, h = map(int, head.split()[1:])
        return np.frombuffer(self.process.stdout.read(w * h * 3), np.uint8).reshape(h, w, 3)

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(60) == 0


@pytest.fixture(scope='module')
def helper(build):
    h = Helper(build)
    yield h
    h.close()


def pillow(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert('RGB'))


def difference(got, want, levels):
    """None when all pixels (99.9 % where levels are allowed) agree."""
    if isinstance(got, str):
        return got
    if got.shape != want.shape:
        return f'{got.shape} for {want.shape}'
    off = np.abs(got.astype(int) - want).max(2) > levels
    return f'{off.mean():.2%} of the pixels differ' if off.mean() > (0.001 if levels else 0) else None


def compare(helper, tmp_path, kind, files, levels=0):
    """files: (name, bytes) pairs. Every difference is named, not only the first."""
    path, wrong, n = tmp_path / 'file', [], 0
    for name, data in files:
        n += 1
        path.write_bytes(data)
        why = difference(helper(path, kind), pillow(data), levels)
        if why:
            wrong.append(f'{name}: {why}')
        if isinstance(helper(path, kind, 'view'), str):
            wrong.append(f'{name}: no view: {helper(path, kind, "view")}')
    assert n and not wrong, f'{len(wrong)} of {n}\n' + '\n'.join(wrong)


def photo(rng, w, h, n=3):
    y, x = np.mgrid[0:h, 0:w]
    waves = [np.sin(x / 7 + c) * 60 + np.cos(y / 5 - c) * 60 + 128 for c in range(n)]
    return np.clip(np.stack(waves, -1) + rng.normal(0, 12, (h, w, n)), 0, 255).astype(np.uint8)


def picture(rng, w, h):
    return Image.fromarray(photo(rng, w, h))


def with_alpha(rng, w, h):
    return Image.fromarray(photo(rng, w, h, 4))


def saved(im, fmt, **options):
    out = io.BytesIO()
    im.save(out, fmt, **options)
    return out.getvalue()


def rng_of(name):
    return np.random.default_rng(zlib.crc32(name.encode()))


def packed(row, bits, endian='>'):
    """A row of samples, the first in the highest bits."""
    v = row.reshape(-1)
    if bits >= 8:
        return v.astype(f'{endian}u{bits // 8}').tobytes()
    return np.packbits((v[:, None] >> np.arange(bits - 1, -1, -1) & 1).astype('u1').reshape(-1)).tobytes()


# PNG

ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png(a, bits, colour, interlace, plte=b'', trns=b''):
    def chunk(name, data):
        return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
    passes = [a[y0::dy, x0::dx] for x0, y0, dx, dy in ADAM7] if interlace else [a]
    raw = b''.join(b'\0' + packed(row, bits) for p in passes if p.size for row in p)
    header = struct.pack('>IIBBBBB', a.shape[1], a.shape[0], bits, colour, 0, 0, interlace)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header)
            + (chunk(b'PLTE', plte) if plte else b'') + (chunk(b'tRNS', trns) if trns else b'')
            + chunk(b'IDAT', zlib.compress(raw)) + chunk(b'IEND', b''))


def pngs():
    rng = rng_of('png')
    for (w, h) in SIZES:
        for il in (0, 1):
            for bits in (1, 2, 4, 8, 16):
                a = rng.integers(0, 1 << bits, (h, w, 1))
                yield f'grey {bits} {w} {il}', png(a, bits, 0, il)
                yield f'grey {bits} with a transparent one {w} {il}', png(a, bits, 0, il, trns=struct.pack('>H', a[0, 0, 0]))
            for bits in (1, 2, 4, 8):
                colours = rng.integers(0, 256, 3 << bits).astype('u1').tobytes()
                a = rng.integers(0, 1 << bits, (h, w, 1))
                yield f'palette {bits} {w} {il}', png(a, bits, 3, il, colours)
                yield f'palette {bits} with alpha {w} {il}', png(a, bits, 3, il, colours, bytes([0, 128]))
            for bits in (8, 16):
                for colour, n in ((2, 3), (4, 2), (6, 4)):
                    yield f'colour {colour} {bits} {w} {il}', png(rng.integers(0, 1 << bits, (h, w, n)), bits, colour, il)
                a = rng.integers(0, 1 << bits, (h, w, 3))
                yield f'a transparent colour {bits} {w} {il}', png(a, bits, 2, il, trns=struct.pack('>HHH', *a[0, 0]))
    for mode in ('1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'I'):
        yield f'Pillow {mode}', saved(picture(rng, 60, 40).convert(mode), 'PNG')


def test_png(helper, tmp_path):
    compare(helper, tmp_path, 'png', pngs())


# BMP

MASKS = {16: [(0xf800, 0x7e0, 0x1f), (0x7c00, 0x3e0, 0x1f)], 24: [(0xff0000, 0xff00, 0xff)],
         32: [(0xff0000, 0xff00, 0xff, 0), (0xff000000, 0xff0000, 0xff00, 0), (0xff000000, 0xff00, 0xff, 0),
              (0xff, 0xff00, 0xff0000, 0xff000000), (0, 0, 0, 0)]}


def bmp(w, h, bits, compression, data, palette=b'', masks=(), top_down=False, header=40, n_colours=0):
    extra = struct.pack(f'<{len(masks)}I', *masks)
    if header == 12:
        head = struct.pack('<IHHHH', 12, w, h, 1, bits)
    else:
        head = struct.pack('<IiiHHIIiiII', header, w, -h if top_down else h, 1, bits, compression, len(data),
                           0, 0, n_colours, 0)
        head += extra.ljust(header - 40, b'\0') if header > 40 else extra[:12]
    at = 14 + len(head) + len(palette)
    return b'BM' + struct.pack('<IHHI', at + len(data), 0, 0, at) + head + palette + data


def bmp_rows(a, bits):
    return b''.join(d + b'\0' * (-len(d) % 4) for d in (packed(row, bits) for row in a))


def rle(a, bits):
    """Runs and literals in turn; four-bit literals are even, as Pillow misreads odd ones."""
    out = b''
    for row in a.tolist():
        i = 0
        while i < len(row):
            if i % 3 == 0 and len(row) - i >= 4:
                lit = row[i:i + 4]
                out += bytes([0, 4]) + (bytes(lit) if bits == 8 else bytes([lit[0] << 4 | lit[1], lit[2] << 4 | lit[3]]))
                i += 4
                continue
            n = 1
            while i + n < len(row) and row[i + n] == row[i]:
                n += 1
            out += bytes([n, row[i] if bits == 8 else row[i] << 4 | row[i]])
            i += n
        out += b'\0\0'
    return out[:-2] + b'\0\1'


def bmps():
    rng = rng_of('bmp')
    for (w, h) in SIZES:
        for down in (False, True):
            for bits in (1, 4, 8):
                colours = rng.integers(0, 256, 4 << bits).astype('u1').tobytes()
                rows = bmp_rows(rng.integers(0, 1 << bits, (h, w)), bits)
                yield f'{bits} bits {w} {down}', bmp(w, h, bits, 0, rows, colours, top_down=down)
                yield f'{bits} bits, short palette {w} {down}', bmp(w, h, bits, 0, rows, colours[:2 << bits],
                                                                    top_down=down, n_colours=1 << bits >> 1)
            for bits in (16, 24, 32):
                rows = bmp_rows(rng.integers(0, 256, (h, w * bits // 8)), 8)
                for header in (40, 108, 124):
                    yield f'{bits} bits {header} {w} {down}', bmp(w, h, bits, 0, rows, top_down=down, header=header)
                    for masks in MASKS[bits]:
                        if header > 40 or masks[-1] in (0, 0x1f, 0xff):
                            yield f'{bits} bits {masks} {header} {w} {down}', bmp(
                                w, h, bits, 3, rows, masks=masks, top_down=down, header=header)
        for bits in (4, 8):
            colours = rng.integers(0, 256, 4 << bits).astype('u1').tobytes()
            runs = rle(rng.integers(0, 3, (h, w)), bits)
            yield f'run lengths {bits} {w}', bmp(w, h, bits, 3 - bits // 4, runs, colours)
        for bits in (1, 4, 8):
            rows = bmp_rows(rng.integers(0, 1 << bits, (h, w)), bits)
            yield f'OS/2 {bits} {w}', bmp(w, h, bits, 0, rows, rng.integers(0, 256, 3 << bits).astype('u1').tobytes(), header=12)
    for mode in ('1', 'L', 'P', 'RGB', 'RGBA'):
        yield f'Pillow {mode}', saved(picture(rng, 61, 40).convert(mode), 'BMP')


def test_bmp(helper, tmp_path):
    compare(helper, tmp_path, 'bmp', bmps())


# GIF

def on_screen(data, w, h):
    return data[:6] + struct.pack('<HH', w, h) + data[10:]


def gifs():
    rng = rng_of('gif')
    for w, h in [*SIZES, (100, 3), (3, 100)]:
        for il in (0, 1):
            for n in (2, 3, 16, 255, 256):
                im = picture(rng, w, h).convert('P', palette=Image.Palette.ADAPTIVE, colors=n)
                yield f'{n} colours {w} {il}', saved(im, 'GIF', interlace=il)
                clear = saved(im, 'GIF', interlace=il, transparency=n // 2)
                yield f'{n} colours, one clear {w} {il}', clear
                yield f'larger screen {n} {w} {il}', on_screen(saved(im, 'GIF', interlace=il), w + 9, h + 4)
                yield f'larger screen, one clear {n} {w} {il}', on_screen(clear, w + 9, h + 4)
                yield f'smaller screen {n} {w} {il}', on_screen(clear, 1, 1)
            for mode in ('L', '1'):
                yield f'{mode} {w} {il}', saved(picture(rng, w, h).convert(mode), 'GIF', interlace=il)
            yield f'clear places {w} {il}', saved(with_alpha(rng, w, h), 'GIF', interlace=il)
            frames = [picture(rng, w, h).convert('P', palette=Image.Palette.ADAPTIVE) for _ in range(3)]
            yield f'animation {w} {il}', saved(frames[0], 'GIF', save_all=True, append_images=frames[1:], interlace=il)
            data = bytearray(saved(frames[0], 'GIF', interlace=il))
            n = (data[10] & 7) + 1
            if n > 1:  # half of the palette cut off: indices beyond it
                data[10] -= 1
                del data[13 + (3 << n - 1):13 + (3 << n)]
                yield f'short palette {w} {il}', bytes(data)
    yield 'noise', saved(Image.fromarray(rng.integers(0, 256, (300, 300)).astype('u1')), 'GIF')
    yield 'flat', saved(Image.new('L', (500, 500), 77), 'GIF')


def test_gif(helper, tmp_path):
    compare(helper, tmp_path, 'gif', gifs())


# TIFF

def predicted(a, bits):
    b = a.astype(np.int64)
    b[:, 1:] -= a[:, :-1].astype(np.int64)
    return b & (1 << bits) - 1


def tiff_chunks(a, bits, tile, endian, rows_per_strip, predictor):
    h, w = a.shape[:2]
    step_y, step_x = (tile, tile) if tile else (rows_per_strip or h, w)
    for y in range(0, h, step_y):
        for x in range(0, w, step_x):
            part = a[y:y + step_y, x:x + step_x]
            if tile:
                part = np.pad(part, ((0, tile - part.shape[0]), (0, tile - part.shape[1]), (0, 0)))
            if predictor == 2:
                part = predicted(part, bits)
            yield b''.join(packed(row, bits, endian) for row in part)


def tiff(a, bits, photometric, deflate=False, tile=0, endian='<', planar=1, predictor=1, rows_per_strip=0,
         dtype='u', **tags):
    """tags: t338=[2] adds tag 338. Offsets are all known once the sizes are: two passes."""
    h, w, n = a.shape
    if bits == 32:
        a = a.astype(f'{dtype}4').view('u4')
    planes = [a] if planar == 1 else [a[..., c:c + 1] for c in range(n)]
    chunks = [c for p in planes for c in tiff_chunks(p, bits, tile, endian, rows_per_strip, predictor)]
    chunks = [zlib.compress(c) for c in chunks] if deflate else chunks
    entries = {256: [w], 257: [h], 258: [bits] * n, 259: [8 if deflate else 1], 262: [photometric], 277: [n], 284: [planar],
               317: [predictor], 339: [{'u': 1, 'i': 2, 'f': 3}[dtype]] * n, **{int(k[1:]): v for k, v in tags.items()}}
    at, sizes = (324, 325) if tile else (273, 279)
    entries |= {322: [tile], 323: [tile]} if tile else {278: [rows_per_strip or h]}
    entries |= {at: [0] * len(chunks), sizes: [len(c) for c in chunks]}
    if predictor == 1:
        del entries[317]

    def directory():
        out, extra, end = b'', b'', 8 + 2 + 12 * len(entries) + 4
        for tag, values in sorted(entries.items()):
            kind, code = (4, 'I') if tag in (256, 257, 273, 278, 279, 324, 325) else (3, 'H')
            data = struct.pack(f'{endian}{len(values)}{code}', *values)
            if len(data) > 4:
                where, extra = end + len(extra), extra + data
                data = struct.pack(endian + 'I', where)
            out += struct.pack(endian + 'HHI', tag, kind, len(values)) + data.ljust(4, b'\0')
        return struct.pack(endian + 'H', len(entries)) + out + bytes(4) + extra
    start = 8 + len(directory())
    entries[at] = [start + sum(map(len, chunks[:i])) for i in range(len(chunks))]
    return (b'II*\0' if endian == '<' else b'MM\0*') + struct.pack(endian + 'I', 8) + directory() + b''.join(chunks)


def tiffs():
    rng = rng_of('tiff')
    for (w, h) in SIZES:
        def noise(bits, n):
            return rng.integers(0, 1 << bits, (h, w, n))
        for how in [dict(endian=e, deflate=d, tile=t) for e in '<>' for d in (False, True) for t in (0, 16)]:
            for bits in (1, 2, 4, 8):
                for photometric in (0, 1):  # 0: white is zero
                    yield f'grey {bits} {photometric} {how} {w}', tiff(noise(bits, 1), bits, photometric, **how)
                colours = rng.integers(0, 65536, 3 << bits).tolist()
                yield f'palette {bits} {how} {w}', tiff(noise(bits, 1), bits, 3, t320=colours, **how)
            yield f'grey 16 {how} {w}', tiff(noise(16, 1), 16, 1, **how)
            for bits in (8, 16):
                yield f'RGB {bits} {how} {w}', tiff(noise(bits, 3), bits, 2, **how)
                yield f'RGBX {bits} {how} {w}', tiff(noise(bits, 4), bits, 2, t338=[0], **how)
                yield f'RGBA {bits} {how} {w}', tiff(noise(bits, 4), bits, 2, t338=[2], **how)
                yield f'CMYK {bits} {how} {w}', tiff(noise(bits, 4), bits, 5, **how)
                if how['deflate']:
                    yield f'predicted {bits} {how} {w}', tiff(noise(bits, 3), bits, 2, predictor=2, **how)
            yield f'grey and alpha {how} {w}', tiff(noise(8, 2), 8, 1, t338=[2], **how)
            if not how['tile']:
                yield f'strips {how} {w}', tiff(noise(8, 3), 8, 2, rows_per_strip=3, **how)
                yield f'planes {how} {w}', tiff(noise(8, 3), 8, 2, planar=2, **how)
                if how['endian'] == '>' and how['deflate']:
                    continue  # Pillow swaps the bytes of these twice
                yield f'floats {how} {w}', tiff(rng.normal(128, 90, (h, w, 1)), 32, 1, dtype='f', **how)
                yield f'integers {how} {w}', tiff(rng.integers(-50, 400, (h, w, 1)), 32, 1, dtype='i', **how)
        for o in range(1, 9):  # the one format that Pillow turns as it loads
            yield f'orientation {o} {w}', tiff(noise(8, 3), 8, 2, t274=[o])
        for compression in ('raw', 'tiff_lzw', 'tiff_adobe_deflate', 'packbits'):
            for mode in ('1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'CMYK', 'I;16', 'I', 'F'):
                if mode == 'I;16':
                    im = Image.fromarray(photo(rng, w, h)[..., 0].astype(np.uint16) * 200)
                else:
                    im = picture(rng, w, h).convert(mode)
                yield f'Pillow {mode} {compression} {w}', saved(im, 'TIFF', compression=compression)
        for mode in ('L', 'RGB', 'CMYK', 'YCbCr'):
            yield f'JPEG inside {mode} {w}', saved(picture(rng, w, h).convert(mode), 'TIFF', compression='jpeg')
        for fax in ('group3', 'group4'):
            yield f'{fax} {w}', saved(picture(rng, w, h).convert('1'), 'TIFF', compression=fax)


def test_tiff(helper, tmp_path):
    compare(helper, tmp_path, 'tiff', tiffs())


# WebP and AVIF

def webps():
    rng = rng_of('webp')
    for w, h in [*SIZES, (301, 200)]:
        for make in (picture, with_alpha):
            for options in (dict(quality=10), dict(quality=80), dict(lossless=True), dict(lossless=True, exact=True)):
                yield f'{make.__name__} {options} {w}', saved(make(rng, w, h), 'WEBP', **options)
        yield f'animation {w}', saved(with_alpha(rng, w, h), 'WEBP', save_all=True, append_images=[with_alpha(rng, w, h)])


def test_webp(helper, tmp_path):
    compare(helper, tmp_path, 'webp', webps(), levels=2)


def avifs():
    rng = rng_of('avif')
    for w, h in [*SIZES, (301, 200)]:
        for sampling in ('4:2:0', '4:2:2', '4:4:4', '4:0:0'):
            for span in ('full', 'limited'):
                for make in (picture, with_alpha):
                    yield f'{make.__name__} {sampling} {span} {w}', saved(
                        make(rng, w, h), 'AVIF', subsampling=sampling, range=span, speed=10)
        exif = Image.Exif()
        for o in range(1, 9):
            exif[0x112] = o
            yield f'orientation {o} {w}', saved(picture(rng, w, h), 'AVIF', exif=exif, speed=10)


def test_avif(helper, tmp_path):
    compare(helper, tmp_path, 'avif', avifs(), levels=2)


@pytest.mark.parametrize('kind', ['png', 'webp', 'gif', 'tiff', 'avif', 'bmp'])
def test_photographs(helper, shared, tmp_path, kind):
    files = [(p.name, p.read_bytes()) for p in sorted((shared / 'photos').glob('*.' + kind))]
    compare(helper, tmp_path, kind, files, 2 if kind == 'webp' else 0)


# What is seen

def view(helper, tmp_path, kind, data):
    path = tmp_path / 'file'
    path.write_bytes(data)
    got = helper(path, kind, 'view')
    assert not isinstance(got, str), got
    return got.astype(int)


def test_alpha_lies_over_black(helper, tmp_path):
    im = with_alpha(rng_of('alpha'), 64, 40)
    a = np.asarray(im).astype(float)
    want = a[..., :3] * a[..., 3:] / 255
    for kind, levels, options in [('png', 1, {}), ('webp', 1, dict(lossless=True, exact=True)), ('tiff', 1, {}),
                                  ('avif', 40, dict(quality=100, subsampling='4:4:4'))]:
        got = view(helper, tmp_path, kind, saved(im, kind.upper(), **options))
        off = np.abs(got - want)
        assert off.max() <= levels and off.mean() < 2, f'{kind}: {off.max()} {off.mean()}'


def test_colour_profiles(helper, tmp_path):
    """A profile whose red is sRGB's green must swap the two; in the reference no profile counts."""
    im = picture(rng_of('profile'), 64, 40)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
    swapped = srgb.replace(b'rXYZ', b'????').replace(b'gXYZ', b'rXYZ').replace(b'????', b'gXYZ')
    swapped = swapped.replace(b'sRGB', b'grab').replace('sRGB'.encode('utf-16-be'), 'grab'.encode('utf-16-be'))
    want = np.asarray(im)[..., [1, 0, 2]].astype(int)
    for kind, levels, options in [('png', 2, {}), ('tiff', 2, {}), ('webp', 2, dict(lossless=True)),
                                  ('avif', 40, dict(quality=100, subsampling='4:4:4'))]:
        data = saved(im, kind.upper(), icc_profile=swapped, **options)
        off = np.abs(view(helper, tmp_path, kind, data) - want)
        assert off.max() <= levels and off.mean() < 2, f'{kind}: {off.max()} {off.mean()}'
        assert not difference(helper(tmp_path / 'file', kind), pillow(data), 2)
    for profile in (srgb, b'no profile at all', swapped[:200]):
        assert np.array_equal(view(helper, tmp_path, 'png', saved(im, 'PNG', icc_profile=profile)), np.asarray(im))


def test_avif_is_turned(helper, tmp_path):
    im = picture(rng_of('turn'), 64, 40)
    exif = Image.Exif()
    for o, how in [(1, None), (2, 'FLIP_LEFT_RIGHT'), (3, 'ROTATE_180'), (4, 'FLIP_TOP_BOTTOM'), (5, 'TRANSPOSE'),
                   (6, 'ROTATE_270'), (7, 'TRANSVERSE'), (8, 'ROTATE_90')]:
        exif[0x112] = o
        got = view(helper, tmp_path, 'avif', saved(im, 'AVIF', exif=exif, quality=100, subsampling='4:4:4'))
        want = np.asarray(im.transpose(Image.Transpose[how]) if how else im).astype(int)
        assert got.shape == want.shape and np.abs(got - want).mean() < 2, o


def test_grey_of_16_bits_is_scaled(helper, tmp_path):
    a = np.arange(0, 65536, 256).reshape(16, 16, 1)
    assert np.abs(view(helper, tmp_path, 'png', png(a, 16, 0, 0))[..., 0] - a[..., 0] // 256).max() <= 1


def test_heic_and_jpeg_xl(helper, shared):
    for name, kind, size in [('IMG_2682.heic', 'heic', (3024, 4032)), ('8bit-sRGB.jxl', 'jxl', (1080, 1440))]:
        got = helper(shared / 'photos' / name, kind, 'view')
        assert not isinstance(got, str), got
        assert got.shape[:2] == size and 40 < got.mean() < 200 and got.std() > 20


def dng(preview, w, h):
    """A raw file as cameras make them: a TIFF whose first directory is a JPEG, whose second the sensor."""
    def directory(at, entries):
        out, extra = struct.pack('<H', len(entries)), b''
        for tag, kind, values in entries:
            data = values if kind == 2 else struct.pack(f'<{len(values)}{" B HI"[kind]}', *values)
            if len(data) > 4:
                where, extra = at + 2 + 12 * len(entries) + 4 + len(extra), extra + data + b'\0' * (len(data) % 2)
                data = struct.pack('<I', where)
            out += struct.pack('<HHI', tag, kind, len(values)) + data.ljust(4, b'\0')
        return out + bytes(4) + extra

    def build(second, jpeg, sensor):
        first = directory(8, [
            (254, 4, [1]), (256, 4, [w]), (257, 4, [h]), (258, 3, [8, 8, 8]), (259, 3, [7]), (262, 3, [6]),
            (271, 2, b'Maker\0'), (272, 2, b'Model\0'), (273, 4, [jpeg]), (277, 3, [3]), (278, 4, [h]),
            (279, 4, [len(preview)]), (330, 4, [second]), (50706, 1, [1, 4, 0, 0])])
        return first, directory(8 + len(first), [
            (254, 4, [0]), (256, 4, [64]), (257, 4, [64]), (258, 3, [16]), (259, 3, [1]), (262, 3, [32803]),
            (273, 4, [sensor]), (277, 3, [1]), (278, 4, [64]), (279, 4, [8192]), (33421, 3, [2, 2]),
            (33422, 1, [0, 1, 1, 2])])
    first, second = build(0, 0, 0)
    at = 8 + len(first)
    first, second = build(at, at + len(second), at + len(second) + len(preview))
    return b'II*\0\x08\0\0\0' + first + second + preview + bytes(8192)


# What is wanted small

def image_of(output):
    head, _, px = output.partition(b'\n')
    w, h = map(int, head.split())
    return np.frombuffer(px, np.uint8).reshape(h, w, 3)


def helped(tool, build, monkeypatch, *args):
    monkeypatch.setenv('FOVEA_DECODE', str(build / 'fovea-decode'))
    return tool(*args)


def small_ones():
    """Of every way that rows reach the engine: in order, out of order, all at once, with alpha, turned."""
    rng = rng_of('small')
    for w, h in [(301, 203), (160, 240), (97, 640)]:
        for mode in ('RGB', 'RGBA', 'L', 'LA', 'P', '1'):
            yield 'png', saved(with_alpha(rng, w, h).convert(mode), 'PNG')
        yield 'png', png(rng.integers(0, 65536, (h, w, 3)), 16, 2, 1)
        yield 'gif', saved(picture(rng, w, h), 'GIF', interlace=True)
        yield 'bmp', saved(picture(rng, w, h), 'BMP')
        yield 'tiff', tiff(photo(rng, w, h), 8, 2, tile=16)
        yield 'tiff', tiff(photo(rng, w, h), 8, 2, rows_per_strip=7)
        for o in range(1, 9):
            exif = Image.Exif()
            exif[0x112] = o
            yield 'avif', saved(picture(rng, w, h), 'AVIF', exif=exif, subsampling='4:4:4')
        yield 'dng', dng(saved(picture(rng, w, h), 'JPEG', quality=95), w, h)


def test_small_is_the_mean_of_large(tool, build, monkeypatch, tmp_path):
    """The largest whole number that leaves twice the target. Pillow's reduce() means the same by the pixels of
    the last column and row; a picture turned has them first."""
    for i, (kind, data) in enumerate(small_ones()):
        path = tmp_path / f'a.{kind}'
        path.write_bytes(data)
        large, small = (image_of(helped(tool, build, monkeypatch, 'decode', path, 'view', side, 1)) for side in (0, 20))
        n = min(large.shape[:2]) // 40
        if kind == 'dng':  # by libjpeg, whose shrinking is another
            assert small.shape[0] == -(-large.shape[0] // {5: 4, 4: 4, 2: 2}[n]), (i, small.shape)
            continue
        turned = kind == 'avif' and max(large.shape[0] % n, large.shape[1] % n)
        candidates = [large] if not turned else [large, large[::-1], large[:, ::-1], large[::-1, ::-1]]
        off = []
        for k, c in enumerate(candidates):
            want = np.asarray(Image.fromarray(c).reduce(n)).astype(int)
            want = [want, want[::-1], want[:, ::-1], want[::-1, ::-1]][k]
            off.append(np.abs(want - small).max() if want.shape == small.shape else 999)
        assert min(off) <= 1, f'{i}, {kind}, {large.shape}, 1/{n}: {off}'


def test_small_lies_where_large_does(tool, build, monkeypatch, tmp_path):
    """Tensors of both, of a picture that is smooth enough for only geometry to count."""
    y, x = np.mgrid[0:203, 0:301]
    im = Image.fromarray(np.stack([128 + 60 * np.sin(x / 30 + k) + 60 * np.cos(y / 15 + k) for k in range(3)], -1).astype(np.uint8))
    for o in range(1, 9):
        exif = Image.Exif()
        exif[0x112] = o
        for kind in ('avif', 'png', 'webp', 'dng'):
            path = tmp_path / f'a.{kind}'
            path.write_bytes(dng(saved(im, 'JPEG', quality=95), 301, 203) if kind == 'dng'
                             else saved(im, kind.upper(), **(dict(exif=exif) if kind == 'avif' else {})))
            # EXIF turns the others, the container AVIF
            a, b = (np.frombuffer(helped(tool, build, monkeypatch, 'tensor', path, 20, 'bicubic', 'shortest', side, o),
                                  np.float32).astype(float) for side in (100000, 20))
            assert a @ b / np.sqrt((a @ a) * (b @ b)) > 0.9995, (kind, o)


def test_large_ones_of_the_shared_photos(tool, build, monkeypatch, shared):
    for path in sorted((shared / 'photos').iterdir()):
        if path.suffix in ('.avif', '.heic', '.jxl', '.png', '.webp'):
            a, b = (np.frombuffer(helped(tool, build, monkeypatch, 'tensor', path, 64, 'bicubic', 'shortest', side),
                                  np.float32).astype(float) for side in (100000, 64))
            assert a @ b / np.sqrt((a @ a) * (b @ b)) > (0.98 if '1bit' in path.name else 0.997), path.name


def test_raw_gives_its_preview(helper, tmp_path):
    jpeg = saved(picture(rng_of('raw'), 320, 200), 'JPEG')
    got = view(helper, tmp_path, 'raw', dng(jpeg, 320, 200))
    assert np.abs(got - pillow(jpeg).astype(int)).max() <= 2
