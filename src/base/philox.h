/* Philox words by the piece, for filling tensors. */
#ifndef KL_BASE_PHILOX_H
#define KL_BASE_PHILOX_H

#include <stdint.h>

/*
 * A piece is 256 words: 4 groups of 16 blocks, word j of block b of group g in place
 * 64 g + 16 j + b, so that all steps run over whole vectors. Piece p holds the blocks from 64 p on.
 */
enum { KL_PHILOX_PIECE = 256 };

void kl_philox_piece(uint64_t key, uint64_t draw, uint64_t piece, uint32_t out[KL_PHILOX_PIECE]);

#endif
