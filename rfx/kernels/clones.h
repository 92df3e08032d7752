/* Loops that a compiler makes vectors of, once for each instruction set, chosen when the module loads. Contraction is
 * off, so each gives the same bytes. Nothing on platforms without run-time choice.
 */
#ifndef RFX_CLONES_H
#define RFX_CLONES_H

#if defined(RFX_CLONES)
/* defined already */
#elif defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__gnu_linux__) && defined(__GLIBC__)
#define RFX_CLONES __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define RFX_CLONES
#endif
#if defined(_MSC_VER)
#define restrict __restrict
#endif

#endif
