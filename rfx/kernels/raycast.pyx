"""Where rays meet spheres, boxes, cylinders and capsules (Ericson, Real-Time Collision Detection, 2005, chapter 5.3).

A shape is 17 doubles: kind; centre (3); rotation (9, by rows, world from local); size (3); radius of a ball around it.
Sizes: sphere (radius), box (three half lengths), cylinder and capsule (radius, half length along local z).
Shapes are seen from outside: a ray that starts within one does not meet it. Directions have length one.
"""

from libc.math cimport INFINITY, fabs, sqrt


# |o + t d - (0, 0, height)| = radius, the nearer root; infinity for none ahead.
cdef inline double hit_ball(const double* o, const double* d, double radius, double height) noexcept nogil:
    cdef double z = o[2] - height
    cdef double b = o[0] * d[0] + o[1] * d[1] + z * d[2]
    cdef double disc = b * b - (o[0] * o[0] + o[1] * o[1] + z * z - radius * radius)
    if disc < 0.0 or b > 0.0:
        return INFINITY
    b = -b - sqrt(disc)
    return b if b > 0.0 else INFINITY


# x^2 + y^2 = radius^2 with |z| <= half.
cdef inline double hit_side(const double* o, const double* d, double radius, double half) noexcept nogil:
    cdef double a = d[0] * d[0] + d[1] * d[1]
    cdef double b = o[0] * d[0] + o[1] * d[1]
    cdef double disc = b * b - a * (o[0] * o[0] + o[1] * o[1] - radius * radius)
    cdef double t
    if a < 1e-14 or disc < 0.0 or b > 0.0:
        return INFINITY
    t = (-b - sqrt(disc)) / a
    return t if t > 0.0 and fabs(o[2] + t * d[2]) <= half else INFINITY


# The end of a cylinder that faces the ray.
cdef inline double hit_end(const double* o, const double* d, double radius, double half) noexcept nogil:
    cdef double t, x, y
    if fabs(d[2]) < 1e-14:
        return INFINITY
    t = ((half if d[2] < 0.0 else -half) - o[2]) / d[2]
    x = o[0] + t * d[0]
    y = o[1] + t * d[1]
    return t if t > 0.0 and x * x + y * y <= radius * radius else INFINITY


# Three pairs of planes; the ray is inside between the last entry and the first exit. Sets the normal.
cdef inline double hit_box(const double* o, const double* d, const double* half, double* normal) noexcept nogil:
    cdef double first = -INFINITY, last = INFINITY, a, b
    cdef int axis = 0, k
    for k in range(3):
        if fabs(d[k]) < 1e-14:
            if fabs(o[k]) > half[k]:
                return INFINITY
            continue
        a = (-half[k] - o[k]) / d[k]
        b = (half[k] - o[k]) / d[k]
        if a > b:
            a, b = b, a
        if a > first:
            first = a
            axis = k
        last = b if b < last else last
    normal[axis] = -1.0 if d[axis] > 0.0 else 1.0
    return first if 0.0 < first <= last else INFINITY


# One shape in its own frame: distance along the ray, and the outward normal there.
cdef double hit_shape(const double* o, const double* d, const double* shape, double* normal) noexcept nogil:
    cdef const double* size = shape + 13
    cdef int kind = <int>shape[0]
    cdef double t, end, height = 0.0
    normal[0] = normal[1] = normal[2] = 0.0
    if kind == KIND_BOX:
        return hit_box(o, d, size, normal)
    if kind == KIND_SPHERE:
        t = hit_ball(o, d, size[0], 0.0)
    else:
        t = hit_side(o, d, size[0], size[1])
        height = o[2] + t * d[2] if t < INFINITY else 0.0
        if kind == KIND_CYLINDER:
            end = hit_end(o, d, size[0], size[1])
            if end < t:
                normal[2] = -1.0 if d[2] > 0.0 else 1.0
                return end
        else:
            for end in (size[1], -size[1]):
                if hit_ball(o, d, size[0], end) < t:
                    t = hit_ball(o, d, size[0], end)
                    height = end
    if t < INFINITY:
        normal[0] = (o[0] + t * d[0]) / size[0]
        normal[1] = (o[1] + t * d[1]) / size[0]
        normal[2] = (o[2] + t * d[2] - height) / size[0]
    return t


# The nearest shape along each ray: distance (infinity for none), its index (-1 for none), the outward normal in the world.
# origin_stride is 0 when all rays start at one point, else 3.
cdef void raycast(
    const double* shapes, Py_ssize_t n_shapes, const double* origins, Py_ssize_t origin_stride,
    const double* directions, double* distance, int* which, double* normals, Py_ssize_t n
) noexcept nogil:
    cdef double[3] o, d, r, normal
    cdef double t, along, away
    cdef const double* s
    cdef const double* v
    cdef Py_ssize_t i, j
    cdef int k
    for i in range(n):
        v = directions + 3 * i
        distance[i] = INFINITY
        which[i] = -1
        normals[3 * i] = normals[3 * i + 1] = normals[3 * i + 2] = 0.0
        for j in range(n_shapes):
            s = shapes + SHAPE_SIZE * j
            for k in range(3):
                r[k] = origins[origin_stride * i + k] - s[1 + k]
            along = -(r[0] * v[0] + r[1] * v[1] + r[2] * v[2])
            away = r[0] * r[0] + r[1] * r[1] + r[2] * r[2] - s[16] * s[16]
            if away > along * along or (along < 0.0 and away > 0.0) or along - s[16] > distance[i]:
                continue
            for k in range(3):
                o[k] = s[4 + k] * r[0] + s[7 + k] * r[1] + s[10 + k] * r[2]
                d[k] = s[4 + k] * v[0] + s[7 + k] * v[1] + s[10 + k] * v[2]
            t = hit_shape(o, d, s, normal)
            if t < distance[i]:
                distance[i] = t
                which[i] = <int>j
                for k in range(3):
                    normals[3 * i + k] = s[4 + 3 * k] * normal[0] + s[5 + 3 * k] * normal[1] + s[6 + 3 * k] * normal[2]
