/* ort_forms.h - a network in the form that is there at once, and in the one that runs faster.
 * Private to infer/ort*.c.
 *
 * A prepared network can be run from where it is mapped, as soon as its graph is read. ONNX Runtime
 * runs it faster once it has copied all weights into the order that its kernels read them in, which
 * takes as long as several runs and memory of their size. So where INFER_RUNS_SOME follow, the
 * first after a load are made with the mapped form, and a thread of its own makes the packed one
 * after INFER_PACK_AFTER_RUNS. ViT-B/32's visual tower on two cores of an AVX-512 EPYC, warm page
 * cache:
 *
 *   mapped    10 ms to open, 60 for the first run, 35 for one after that
 *   packed   170 ms to open, 28 for a run
 *
 * The two differ in the last bit of some numbers (1e-7 in a vector of length 1).
 * Threads: any, but init and clear. */
#ifndef FOVEA_INFER_ORT_FORMS_H
#define FOVEA_INFER_ORT_FORMS_H

#include "infer/ort.h"
#include "sys/file.h"

enum { INFER_PACK_AFTER_RUNS = 4 };

struct infer_ort_forms {
    const struct infer_ort *ort;
    OrtSession *first;  /* NULL: not open, or not needed any more */
    OrtSession *packed; /* NULL: not yet, or never */
    pthread_mutex_t lock;
    pthread_cond_t first_unused;
    size_t n_runs, n_first_users;
    pthread_t thread;
    bool packs; /* thread is to be joined */
    /* How to make the packed form; NULL: first is all there will be. */
    enum err_code (*pack)(void *arg, OrtSession **out, struct err *err);
    void *arg;
    const struct file_map *map; /* what first reads its weights from; NULL: a file's copy */
};

void infer_ort_forms_init(struct infer_ort_forms *f, const struct infer_ort *ort);
/* Waits for the thread: as long as packing takes, a second for the largest. No run may be under
 * way. */
void infer_ort_forms_clear(struct infer_ort_forms *f);

/* The better form there is, to run or to ask; give it back after that, and say if it ran. */
OrtSession *infer_ort_forms_take(struct infer_ort_forms *f);
void infer_ort_forms_give(struct infer_ort_forms *f, OrtSession *session, bool ran);

/* To be called when a form has been packed: what was read for it goes back to the system. What runs
 * still need of the map comes back page by page. */
void infer_ort_forms_packed(const struct infer_ort_forms *f);

#endif
