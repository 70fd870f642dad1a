/* What a loop that spins tells the processor: that it spins. */
#ifndef KERNEL_HELPERS_PAUSE_H
#define KERNEL_HELPERS_PAUSE_H

static inline void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#else
    __asm__ volatile("" ::: "memory");
#endif
}

#endif
