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
