/* The k nearest anchors of every face, and the nearest of each class, in one pass over the anchors.
 *
 * For recognition/neighbors.py, whose by_definition() does the same.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* GCC and clang make of these what the machine has: one register of AVX-512, two of AVX2, four of SSE or NEON. */
#define LANES 16
typedef float lanes __attribute__((vector_size(64)));
typedef float quarter __attribute__((vector_size(16)));

#define INLINE static inline __attribute__((always_inline))

/* Anchors whose distances are measured before they are looked at, for so many faces. */
#define TILE 64
#define GROUP 8

typedef struct {
    const float *anchors;   /* [count, dimensions] */
    const int32_t *labels;  /* [count] */
    const float *faces;     /* [n_faces, stride], each on a cache line of its own: a load across two takes twice as long */
    float *distances;       /* [n_faces, k] */
    int64_t *nearest;       /* [n_faces, k] */
    float *class_distances; /* [n_faces, n_classes] */
    size_t count, dimensions, stride, n_faces, k, n_classes;
} Query;

/* --- the k nearest so far: a heap of squares with the farthest on top; of two as far, the later is the farther --- */

static inline int farther(float a, int64_t i, float b, int64_t j) { return a > b || (a == b && i > j); }

static void sink(float *squares, int64_t *places, size_t size, size_t from) {
    const float square = squares[from];
    const int64_t place = places[from];
    for (size_t child; (child = 2 * from + 1) < size; from = child) {
        if (child + 1 < size && farther(squares[child + 1], places[child + 1], squares[child], places[child]))
            child++;
        if (!farther(squares[child], places[child], square, place))
            break;
        squares[from] = squares[child];
        places[from] = places[child];
    }
    squares[from] = square;
    places[from] = place;
}

static void make_heap(float *squares, int64_t *places, size_t size) {
    for (size_t from = size / 2; from-- > 0;)
        sink(squares, places, size, from);
}

static void sort_heap(float *squares, int64_t *places, size_t size) {
    while (size-- > 1) {
        const float square = squares[size];
        const int64_t place = places[size];
        squares[size] = squares[0];
        places[size] = places[0];
        squares[0] = square;
        places[0] = place;
        sink(squares, places, size, 0);
    }
}

/* --- the pass --- */

/* The squared distance between two points. Two sums, since an addition would wait for the one before it. */
INLINE float measure(const float *a, const float *b, size_t dimensions) {
    lanes sums = {0}, more = {0};
    quarter parts[4];
    size_t i = 0;
    for (; i + 2 * LANES <= dimensions; i += 2 * LANES) {
        lanes x, y, u, v;
        memcpy(&x, a + i, sizeof x);
        memcpy(&y, b + i, sizeof y);
        memcpy(&u, a + i + LANES, sizeof u);
        memcpy(&v, b + i + LANES, sizeof v);
        x -= y;
        u -= v;
        sums += x * x;
        more += u * u;
    }
    sums += more;
    memcpy(parts, &sums, sizeof sums);
    parts[0] = (parts[0] + parts[1]) + (parts[2] + parts[3]);
    float square = (parts[0][0] + parts[0][2]) + (parts[0][1] + parts[0][3]);
    for (; i < dimensions; i++)
        square += (a[i] - b[i]) * (a[i] - b[i]);
    return square;
}

/* Looks at the anchors [first, first + size), which lie `squares` from a face. */
static void look_at(const Query *query, size_t face, size_t first, size_t size, const float *squares) {
    const size_t k = query->k;
    float *kept = query->distances + face * k;
    int64_t *nearest = query->nearest + face * k;
    float *of_class = query->class_distances + face * query->n_classes;
    for (size_t i = 0; i < size; i++) {
        const size_t place = first + i;
        const int32_t label = query->labels[place];
        /* Not "<": beside a face that is NaN every distance is. */
        if (!(squares[i] >= of_class[label]))
            of_class[label] = squares[i];
        if (place < k) {
            kept[place] = squares[i];
            nearest[place] = (int64_t)place;
            if (place + 1 == k)
                make_heap(kept, nearest, k);
        } else if (squares[i] < *kept) {
            *kept = squares[i];
            *nearest = (int64_t)place;
            sink(kept, nearest, k, 0);
        }
    }
}

INLINE void pass(const Query *query) {
    const size_t dimensions = query->dimensions;
    float squares[GROUP][TILE];
    for (size_t done = 0; done < query->n_faces; done += GROUP) {
        const size_t faces = query->n_faces - done < GROUP ? query->n_faces - done : GROUP;
        const float *group = query->faces + done * query->stride;
        for (size_t first = 0; first < query->count; first += TILE) {
            const size_t size = query->count - first < TILE ? query->count - first : TILE;
            const float *anchors = query->anchors + first * dimensions;
            /* Anchors come from memory in their order, each but once for the group. Most groups are of one face. */
            if (faces == 1)
                for (size_t i = 0; i < size; i++)
                    squares[0][i] = measure(anchors + i * dimensions, group, dimensions);
            else
                for (size_t i = 0; i < size; i++)
                    for (size_t face = 0; face < faces; face++)
                        squares[face][i] = measure(anchors + i * dimensions, group + face * query->stride, dimensions);
            for (size_t face = 0; face < faces; face++)
                look_at(query, done + face, first, size, squares[face]);
        }
    }
}

/* The pass is compiled for each of these, and the machine it runs on takes the best that it has. */
#ifdef __x86_64__
__attribute__((target("avx512f"))) static void pass_avx512(const Query *query) { pass(query); }
__attribute__((target("avx2,fma"))) static void pass_avx2(const Query *query) { pass(query); }
#endif

static void answer(const Query *query) {
    for (size_t i = 0; i < query->n_faces * query->n_classes; i++)
        query->class_distances[i] = INFINITY;
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f"))
        pass_avx512(query);
    else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        pass_avx2(query);
    else
        pass(query);
#else
    pass(query);
#endif
    for (size_t face = 0; face < query->n_faces; face++)
        sort_heap(query->distances + face * query->k, query->nearest + face * query->k, query->k);
    for (size_t i = 0; i < query->n_faces * query->k; i++)
        query->distances[i] = sqrtf(query->distances[i]);
    for (size_t i = 0; i < query->n_faces * query->n_classes; i++)
        query->class_distances[i] = sqrtf(query->class_distances[i]);
}

/* --- for Python --- */

enum { ANCHORS, LABELS, FACES, DISTANCES, NEAREST, CLASS_DISTANCES, N_ARRAYS };

static const struct {
    const char *name;
    const char *formats;
    int dimensions, itemsize, writable;
} EXPECTED[N_ARRAYS] = {
    {"anchors", "f", 2, 4, 0},   {"labels", "il", 1, 4, 0},   {"embeddings", "f", 2, 4, 0},
    {"distances", "f", 2, 4, 1}, {"nearest", "lq", 2, 8, 1}, {"class_distances", "f", 2, 4, 1},
};

static int take(PyObject *array, int which, Py_buffer *view) {
    int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT;
    if (PyObject_GetBuffer(array, view, EXPECTED[which].writable ? flags | PyBUF_WRITABLE : flags) < 0)
        return -1;
    if (view->ndim == EXPECTED[which].dimensions && view->itemsize == EXPECTED[which].itemsize &&
        strlen(view->format) == 1 && strchr(EXPECTED[which].formats, view->format[0]))
        return 0;
    PyErr_Format(PyExc_ValueError, "%s is of format %s with %d dimensions: expected %c with %d", EXPECTED[which].name,
                 view->format, view->ndim, EXPECTED[which].formats[0], EXPECTED[which].dimensions);
    PyBuffer_Release(view);
    return -1;
}

static int fits(const Py_buffer *views, Query *query) {
    const Py_ssize_t count = views[ANCHORS].shape[0], dimensions = views[ANCHORS].shape[1];
    const Py_ssize_t n_faces = views[FACES].shape[0], k = views[DISTANCES].shape[1];
    if (views[LABELS].shape[0] != count || views[FACES].shape[1] != dimensions ||
        views[DISTANCES].shape[0] != n_faces || views[NEAREST].shape[0] != n_faces || views[NEAREST].shape[1] != k ||
        views[CLASS_DISTANCES].shape[0] != n_faces || k < 1 || k > count)
        return 0;
    *query = (Query){
        .anchors = views[ANCHORS].buf, .labels = views[LABELS].buf, .distances = views[DISTANCES].buf,
        .nearest = views[NEAREST].buf, .class_distances = views[CLASS_DISTANCES].buf, .count = (size_t)count,
        .dimensions = (size_t)dimensions, .stride = ((size_t)dimensions + LANES - 1) / LANES * LANES,
        .n_faces = (size_t)n_faces, .k = (size_t)k, .n_classes = (size_t)views[CLASS_DISTANCES].shape[1],
    };
    return 1;
}

/* The faces of a query, laid out as it wants them; free() them. NULL without memory. */
static float *laid_out(const float *faces, const Query *query) {
    float *copies = aligned_alloc(LANES * sizeof(float), (query->n_faces * query->stride + LANES) * sizeof(float));
    for (size_t face = 0; copies && face < query->n_faces; face++)
        memcpy(copies + face * query->stride, faces + face * query->dimensions, query->dimensions * sizeof(float));
    return copies;
}

static PyObject *search(PyObject *Py_UNUSED(module), PyObject *const *arrays, Py_ssize_t n_arrays) {
    Py_buffer views[N_ARRAYS];
    Query query;
    int taken = 0;
    if (n_arrays != N_ARRAYS)
        return PyErr_Format(PyExc_TypeError, "search takes %d arrays, not %zd", N_ARRAYS, n_arrays);
    while (taken < N_ARRAYS && take(arrays[taken], taken, &views[taken]) == 0)
        taken++;
    if (taken == N_ARRAYS) {
        float *faces = NULL;
        if (!fits(views, &query)) {
            PyErr_SetString(PyExc_ValueError, "the shapes of the arrays do not belong together");
        } else if (!(faces = laid_out(views[FACES].buf, &query))) {
            PyErr_NoMemory();
        } else {
            query.faces = faces;
            Py_BEGIN_ALLOW_THREADS;
            answer(&query);
            Py_END_ALLOW_THREADS;
        }
        free(faces);
    }
    while (taken-- > 0)
        PyBuffer_Release(&views[taken]);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef METHODS[] = {
    {"search", (PyCFunction)(void (*)(void))search, METH_FASTCALL,
     "search(anchors, labels, embeddings, distances, nearest, class_distances)\n\n"
     "Fill the last three: distances float32 [M, k] and places int64 [M, k] of the k nearest of anchors float32 [N, D]\n"
     "to embeddings float32 [M, D], and distances float32 [M, C] of the nearest of each class. labels int32 [N] have\n"
     "to be in 0..C-1. ValueError for arrays of other types or shapes; all of them lie in C order."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "_nearest", "Exact search for the nearest anchors.", -1, METHODS, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__nearest(void) { return PyModule_Create(&MODULE); }
