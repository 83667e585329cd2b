cpdef bytes unmask(bytearray data, Py_ssize_t start, Py_ssize_t stop, unsigned int key)
cpdef unmask_in_place(data, Py_ssize_t start, Py_ssize_t stop, unsigned int key, int phase)
cpdef str unmask_text(bytearray data, Py_ssize_t start, Py_ssize_t stop, unsigned int key)
cpdef Py_ssize_t skip_characters(bytes data) except -1
cpdef check_text(bytes data)
cpdef bytes reserve(Py_ssize_t size)
cpdef bytes make_header(int first, Py_ssize_t size, bint masked)
cpdef bytes make_frame(int first, bytes payload, unsigned int key, bint masked)
cpdef Py_ssize_t text_size(str text) except -1
