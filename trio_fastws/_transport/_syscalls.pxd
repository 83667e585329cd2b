cpdef bytearray new_events(int most)
cpdef int poll(epoll, bytearray events) except -1
cpdef int polled_fd(bytearray events, Py_ssize_t index) except? -1
cpdef unsigned int polled_mask(bytearray events, Py_ssize_t index) except? 0

cpdef int accept(int fd) except? -2
cpdef Py_ssize_t receive(int fd, bytearray buffer, Py_ssize_t start) except? -2
cpdef Py_ssize_t receive_into(int fd, room) except? -2
cpdef Py_ssize_t send(int fd, list parts, Py_ssize_t size) except? -2
cpdef peer_address(int fd)
cpdef end_output(int fd)
cpdef bint has_failed(int fd) except -1
cpdef int unacknowledged(int fd) except -1
cpdef int unsent(int fd) except -1
