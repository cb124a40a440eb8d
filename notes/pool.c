/*
 * A pool of threads for what takes long, and a loop that never waits for it.
 *
 * Shows: two queues with one lock. The loop puts jobs into the first, and the
 * threads put them into the second when they are done. An eventfd wakes the
 * loop. The three jobs here sleep; others would compute, read a file, or call
 * getaddrinfo.
 *
 * Try it: make build/pool && build/pool
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#define THREADS 4

struct job {
    struct job *next;
    int tenths; /* how long it takes; in a server: who asked, and for what */
};

struct queue {
    struct job *first, **end;
};

static struct queue waiting = {NULL, &waiting.first};
static struct queue done = {NULL, &done.first};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t job_waits = PTHREAD_COND_INITIALIZER;
static int wake; /* the eventfd */

static void die(const char *call)
{
    perror(call);
    exit(EXIT_FAILURE);
}

static void put(struct queue *queue, struct job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&lock);
    *queue->end = job;
    queue->end = &job->next;
    pthread_mutex_unlock(&lock);
}

/* A thread of the pool. It sleeps and works without the lock. */
static void *work(void *unused)
{
    for (;;) {
        pthread_mutex_lock(&lock);
        while (waiting.first == NULL) pthread_cond_wait(&job_waits, &lock);
        struct job *job = waiting.first;
        waiting.first = job->next;
        if (job->next == NULL) waiting.end = &waiting.first;
        pthread_mutex_unlock(&lock);

        struct timespec time = {0, job->tenths * 100000000L};
        nanosleep(&time, NULL);

        put(&done, job);
        eventfd_write(wake, 1);
    }
    return unused;
}

/* The loop calls this for an event of the eventfd. Returns all jobs that are
   done: one event may stand for several. It reads the eventfd first. In the
   other order, a job that is done in between would wake nobody. */
static struct job *take_done(void)
{
    eventfd_t count;
    eventfd_read(wake, &count);
    pthread_mutex_lock(&lock);
    struct job *jobs = done.first;
    done = (struct queue){NULL, &done.first};
    pthread_mutex_unlock(&lock);
    return jobs;
}

int main(void)
{
    wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (wake == -1) die("eventfd");
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = wake};
    if (epoll == -1 || epoll_ctl(epoll, EPOLL_CTL_ADD, wake, &event) == -1)
        die("epoll");
    pthread_t thread;
    for (int i = 0; i < THREADS; i++)
        if ((errno = pthread_create(&thread, NULL, work, NULL)) != 0)
            die("pthread_create");

    struct job jobs[] = {{.tenths = 6}, {.tenths = 1}, {.tenths = 3}};
    int left = sizeof jobs / sizeof jobs[0];
    for (int i = 0; i < left; i++) {
        put(&waiting, &jobs[i]);
        pthread_cond_signal(&job_waits);
    }
    while (left > 0) {
        if (epoll_wait(epoll, &event, 1, -1) == -1 && errno != EINTR)
            die("epoll_wait");
        /* A server looks first whose event it is. */
        for (struct job *job = take_done(); job != NULL; job = job->next) {
            printf("done: the job of %d00 ms\n", job->tenths);
            left--;
        }
    }
}
