cpdef bytes unmask(bytearray data, Py_ssize_t start, Py_ssize_t stop, unsigned int key)
cpdef unmask_in_place(data, Py_ssize_t start, Py_ssize_t stop, unsigned int key, int phase)
cpdef bytes mask(bytes payload, unsigned int key)
