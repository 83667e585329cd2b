from trio_fastws._transport.contract cimport Owner, Dispatcher
from trio_fastws._transport.wheel cimport Timer

from .budget cimport Budget
from .connections cimport Connections


cdef class Shared(Timer):
    cdef public object role
    cdef public object message_size
    cdef public object fragments
    cdef public Dispatcher dispatcher
    cdef public object handler
    cdef public str handler_name
    cdef public object on_message
    cdef public object spawn
    cdef readonly object start
    cdef object __weakref__
    cdef public object postponed
    cdef public Connections connections
    cdef public Budget budget
    cdef public object delayed
    cdef public bint cancel_on_disconnect
    cdef public bint keep_request
    cdef public int policy
    cdef public Py_ssize_t receive_buffer
    cdef public Py_ssize_t tasks
    cdef public Py_ssize_t high_water
    cdef public Py_ssize_t low_water
    cdef public Py_ssize_t hard_limit
    cdef public Py_ssize_t max_messages
    cdef public Py_ssize_t frame_size
    cdef public Py_ssize_t wire_limit
    cdef public object unsent_limit
    cdef public bint sparing
    cdef public Py_ssize_t compress_from
    cdef public double delay
    cdef public double postpone_seconds
    cdef public double close_seconds
    cdef public double ping_interval
    cdef public double ping_timeout
    cdef public double write_stall
    cdef public double slow_consumer

    cpdef double delay_output(self, Owner connection) except? -1
