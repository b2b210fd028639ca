// SPDX-License-Identifier: Apache-2.0
//
// Classic BPF as far as our filters use it: loads from seccomp_data, AND, XOR, TAX, jumps
// that compare with a constant, returns. Jumps lead forward only, so every run ends.
#include "bpf.h"

#include <string.h>

static uint32_t load(const struct seccomp_data *data, uint32_t offset)
{
	uint32_t word = 0;
	if (offset <= sizeof(*data) - sizeof(word))
		memcpy(&word, (const char *)data + offset, sizeof(word));
	return word;
}

uint32_t bpf_run(const struct sock_filter *program, size_t count,
		 const struct seccomp_data *data)
{
	uint32_t a = 0, x = 0;
	for (size_t at = 0; at < count; at++) {
		const struct sock_filter *one = &program[at];
		uint32_t operand = BPF_SRC(one->code) == BPF_X ? x : one->k;
		switch (one->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			a = load(data, one->k);
			break;
		case BPF_ALU | BPF_AND | BPF_K:
		case BPF_ALU | BPF_AND | BPF_X:
			a &= operand;
			break;
		case BPF_ALU | BPF_XOR | BPF_K:
		case BPF_ALU | BPF_XOR | BPF_X:
			a ^= operand;
			break;
		case BPF_MISC | BPF_TAX:
			x = a;
			break;
		case BPF_MISC | BPF_TXA:
			a = x;
			break;
		case BPF_JMP | BPF_JA:
			at += one->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
		case BPF_JMP | BPF_JEQ | BPF_X:
			at += a == operand ? one->jt : one->jf;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
		case BPF_JMP | BPF_JGT | BPF_X:
			at += a > operand ? one->jt : one->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
		case BPF_JMP | BPF_JGE | BPF_X:
			at += a >= operand ? one->jt : one->jf;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
		case BPF_JMP | BPF_JSET | BPF_X:
			at += a & operand ? one->jt : one->jf;
			break;
		case BPF_RET | BPF_K:
			return one->k;
		default:
			return SECCOMP_RET_ALLOW;
		}
	}
	return SECCOMP_RET_ALLOW;
}
