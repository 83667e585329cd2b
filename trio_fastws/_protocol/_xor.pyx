# cython: boundscheck=False, wraparound=False, cdivision=True
"""`masking` in C: the same functions, a word at a time, in one allocation."""

from cpython.buffer cimport (
    PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy


cdef inline uint64_t _repeat(uint32_t key, int phase) noexcept nogil:
    # Eight bytes of the key, rotated to where the payload's byte `phase` begins.
    cdef unsigned char octets[8]
    cdef uint64_t wide
    cdef int i
    if phase & 3:
        key = key >> (8 * (phase & 3)) | key << (32 - 8 * (phase & 3))
    for i in range(8):
        octets[i] = (key >> (8 * (i & 3))) & 0xFF
    memcpy(&wide, octets, 8)
    return wide


cdef void _xor(
    unsigned char *target, const unsigned char *source, Py_ssize_t size, uint64_t wide
) noexcept nogil:
    # memcpy is how C reads a word at an unaligned address; the compiler makes it a load,
    # and vector instructions of the loop of eight words.
    cdef uint64_t words[8]
    cdef uint64_t word
    cdef Py_ssize_t i = 0
    cdef int j
    cdef unsigned char *tail
    while i + 64 <= size:
        memcpy(words, source + i, 64)
        for j in range(8):
            words[j] ^= wide
        memcpy(target + i, words, 64)
        i += 64
    while i + 8 <= size:
        memcpy(&word, source + i, 8)
        word ^= wide
        memcpy(target + i, &word, 8)
        i += 8
    tail = <unsigned char *> &wide
    j = 0
    while i < size:
        target[i] = source[i] ^ tail[j]
        i += 1
        j += 1


cdef int _check(Py_ssize_t start, Py_ssize_t stop, Py_ssize_t size) except -1:
    if not 0 <= start <= stop <= size:
        raise IndexError("payload lies outside the buffer")
    return 0


cpdef bytes unmask(bytearray data, Py_ssize_t start, Py_ssize_t stop, unsigned int key):
    """See `masking.unmask`."""
    cdef bytes result
    _check(start, stop, len(data))  # which refuses None
    result = PyBytes_FromStringAndSize(NULL, stop - start)
    _xor(
        <unsigned char *> PyBytes_AS_STRING(result),
        <const unsigned char *> PyByteArray_AS_STRING(data) + start,
        stop - start,
        _repeat(key, 0),
    )
    return result


cpdef unmask_in_place(
    data, Py_ssize_t start, Py_ssize_t stop, unsigned int key, int phase
):
    """See `masking.unmask_in_place`."""
    cdef Py_buffer view
    cdef unsigned char *at
    PyObject_GetBuffer(data, &view, PyBUF_WRITABLE)
    try:
        _check(start, stop, view.len)
        at = <unsigned char *> view.buf + start
        _xor(at, at, stop - start, _repeat(key, phase))
    finally:
        PyBuffer_Release(&view)


cpdef str unmask_text(
    bytearray data, Py_ssize_t start, Py_ssize_t stop, unsigned int key
):
    """See `masking.unmask_text`."""
    cdef unsigned char *at
    _check(start, stop, len(data))  # which refuses None
    at = <unsigned char *> PyByteArray_AS_STRING(data) + start
    if key:
        _xor(at, at, stop - start, _repeat(key, 0))
    return PyUnicode_DecodeUTF8(<char *> at, stop - start, NULL)


# No bit of it is set in eight bytes of ASCII.
cdef uint64_t ASCII_ONLY = 0x8080808080808080U


cdef Py_ssize_t _skip_few(
    const unsigned char *text, Py_ssize_t at, Py_ssize_t stop, Py_ssize_t size
) noexcept nogil:
    # The table of RFC 3629 4: where the character begins that is not whole, or the
    # first at `stop` or behind it.
    cdef uint64_t word
    cdef unsigned char first, second
    cdef int rest, i
    while at < stop:
        if at + 8 <= stop:
            memcpy(&word, text + at, 8)
            if not word & ASCII_ONLY:
                at += 8
                continue
        first = text[at]
        if first < 0x80:
            at += 1
            continue
        rest = 1 if first < 0xE0 else 2 if first < 0xF0 else 3
        if first < 0xC2 or first > 0xF4 or size - at <= rest:
            return at
        for i in range(1, rest + 1):
            if text[at + i] & 0xC0 != 0x80:
                return at
        second = text[at + 1]
        if (
            (first == 0xE0 and second < 0xA0)
            or (first == 0xED and second >= 0xA0)
            or (first == 0xF0 and second < 0x90)
            or (first == 0xF4 and second >= 0x90)
        ):
            return at
        at += 1 + rest
    return at


cdef bint _is_block_wrong(const unsigned char *text) noexcept nogil:
    # The same table for the 64 bytes behind the first three, without a branch: the
    # compiler makes vector instructions of it. A byte continues a character if, and
    # only if, one before it says so; and some second bytes are not for every first.
    cdef uint64_t words[8]
    cdef uint64_t seen = 0
    cdef unsigned char wrong = 0
    cdef unsigned char byte, before, second, third
    cdef int i
    memcpy(words, text + 3, 64)
    for i in range(8):
        seen |= words[i]
    if not (
        seen & ASCII_ONLY
        or text[2] >= 0xC0 or text[1] >= 0xE0 or text[0] >= 0xF0
    ):
        return False
    for i in range(64):
        third, second, before, byte = text[i], text[i + 1], text[i + 2], text[i + 3]
        wrong |= (<signed char> byte < -64) ^ (
            (before >= 0xC0) | (second >= 0xE0) | (third >= 0xF0)
        )
        wrong |= (byte == 0xC0) | (byte == 0xC1) | (byte >= 0xF5)
        wrong |= (before == 0xE0) & (byte < 0xA0)
        wrong |= (before == 0xED) & (byte >= 0xA0)
        wrong |= (before == 0xF0) & (byte < 0x90)
        wrong |= (before == 0xF4) & (byte >= 0x90)
    return wrong != 0


cdef Py_ssize_t _skip(const unsigned char *text, Py_ssize_t size) noexcept nogil:
    # Where the first character begins that is not whole, or `size`.
    cdef Py_ssize_t at = _skip_few(text, 0, min(3, size), size)
    if at >= 3:
        while at + 64 <= size and not _is_block_wrong(text + at - 3):
            at += 64
        # Back to the beginning of a character that the last block has cut.
        if text[at - 1] >= 0xC0:
            at -= 1
        elif text[at - 2] >= 0xE0:
            at -= 2
        elif text[at - 3] >= 0xF0:
            at -= 3
    return _skip_few(text, at, size, size)


cpdef Py_ssize_t skip_characters(bytes data) except -1:
    """See `masking.skip_characters`."""
    cdef Py_ssize_t size = len(data)  # which refuses None
    return _skip(<const unsigned char *> PyBytes_AS_STRING(data), size)


cpdef check_text(bytes data):
    """See `masking.check_text`."""
    cdef Py_ssize_t size = len(data)  # which refuses None
    if _skip(<const unsigned char *> PyBytes_AS_STRING(data), size) < size:
        PyUnicode_DecodeUTF8(PyBytes_AS_STRING(data), size, NULL)  # says what is wrong


cpdef bytes reserve(Py_ssize_t size):
    """See `masking.reserve`."""
    return PyBytes_FromStringAndSize(NULL, size)


cdef extern from "Python.h":
    int PyUnicode_KIND(object text)


cpdef Py_ssize_t text_size(str text) except -1:
    """See `masking.text_size`."""
    return len(text) * PyUnicode_KIND(text)  # `len` refuses None


cdef inline int _header_size(Py_ssize_t size) noexcept:
    return 2 if size < 126 else 4 if size < 65536 else 10


cdef void _write_header(
    unsigned char *at, int first, Py_ssize_t size, bint masked
) noexcept:
    cdef int i
    cdef int bit = 0x80 if masked else 0
    at[0] = first
    if size < 126:
        at[1] = bit | size
    elif size < 65536:
        at[1] = bit | 126
        at[2] = size >> 8
        at[3] = size & 0xFF
    else:
        at[1] = bit | 127
        for i in range(8):
            at[2 + i] = (size >> (8 * (7 - i))) & 0xFF


cpdef bytes make_header(int first, Py_ssize_t size, bint masked):
    """See `masking.make_header`."""
    cdef bytes result = PyBytes_FromStringAndSize(NULL, _header_size(size))
    _write_header(<unsigned char *> PyBytes_AS_STRING(result), first, size, masked)
    return result


cpdef bytes make_frame(int first, bytes payload, unsigned int key, bint masked):
    """See `masking.make_frame`."""
    cdef Py_ssize_t size = len(payload)
    cdef int head = _header_size(size)
    cdef bytes result = PyBytes_FromStringAndSize(NULL, head + 4 * masked + size)
    cdef unsigned char *at = <unsigned char *> PyBytes_AS_STRING(result)
    cdef const unsigned char *source = <const unsigned char *> PyBytes_AS_STRING(payload)
    _write_header(at, first, size, masked)
    at += head
    if not masked:
        memcpy(at, source, size)
        return result
    at[0] = key & 0xFF
    at[1] = key >> 8 & 0xFF
    at[2] = key >> 16 & 0xFF
    at[3] = key >> 24
    _xor(at + 4, source, size, _repeat(key, 0))
    return result
