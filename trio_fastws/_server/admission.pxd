from trio_fastws._connection.shared cimport Shared


cdef class Admission:
    cdef readonly Shared shared
    cdef readonly Py_ssize_t request_head
    cdef readonly Py_ssize_t request_fields
    cdef readonly object most
    cdef readonly Py_ssize_t most_pending
    cdef readonly double seconds
    cdef readonly object subprotocols
    cdef readonly object origins
    cdef readonly object on_request
    cdef readonly object negotiator
    cdef readonly object variants
    cdef readonly object spawn
    cdef readonly object heads
    cdef readonly object deciding
    cdef readonly object answers
    cdef readonly object lingering
    cdef public Py_ssize_t accepted
    cdef readonly Py_ssize_t dropped
    cdef readonly object refused
    cdef public bint closed
    cdef public object on_idle

    cpdef list handshakes(self)
    cpdef bint busy(self) except -1
    cpdef enter(self, handshake)
    cdef Py_ssize_t _count(self) except -1
    cdef object _longest_queue(self)
    cpdef check(self, bint upgrade)
    cpdef ask(self, handshake)
    cpdef leave(self, handshake)
    cpdef leave_answer(self, answer)
    cpdef report_idle(self)
