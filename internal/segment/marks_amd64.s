#include "textflag.h"

// func markPairs(codes *uint16, words int, low, width uint16, bits *uint64)
TEXT ·markPairs(SB), NOSPLIT, $0-32
	MOVQ    codes+0(FP), SI
	MOVQ    words+8(FP), CX
	MOVWLZX low+16(FP), AX
	MOVWLZX width+18(FP), BX
	MOVQ    bits+24(FP), DI
	MOVQ    AX, X0
	PSHUFLW $0, X0, X0
	PSHUFD  $0, X0, X0
	MOVQ    BX, X1
	PSHUFLW $0, X1, X1
	PSHUFD  $0, X1, X1
	PXOR    X2, X2

#define SIXTEEN(at, to) \
	MOVOU    (at)(SI), X3;    \
	MOVOU    (at+16)(SI), X4; \
	PSUBW    X0, X3;          \
	PSUBW    X0, X4;          \
	PSUBUSW  X1, X3;          \
	PSUBUSW  X1, X4;          \
	PCMPEQW  X2, X3;          \
	PCMPEQW  X2, X4;          \
	PACKSSWB X4, X3;          \
	PMOVMSKB X3, to

pairs:
	TESTQ CX, CX
	JZ    done
	SIXTEEN(0, AX)
	SIXTEEN(32, BX)
	SIXTEEN(64, DX)
	SIXTEEN(96, R8)
	SHLQ  $16, BX
	SHLQ  $32, DX
	SHLQ  $48, R8
	ORQ   BX, AX
	ORQ   R8, DX
	ORQ   DX, AX
	MOVQ  AX, (DI)
	ADDQ  $128, SI
	ADDQ  $8, DI
	DECQ  CX
	JMP   pairs

done:
	RET

// func markBytes(codes *uint8, words int, low, width uint16, bits *uint64)
TEXT ·markBytes(SB), NOSPLIT, $0-32
	MOVQ    codes+0(FP), SI
	MOVQ    words+8(FP), CX
	MOVWLZX low+16(FP), AX
	MOVWLZX width+18(FP), BX
	MOVQ    bits+24(FP), DI
	MOVQ    AX, X0
	PSHUFLW $0, X0, X0
	PSHUFD  $0, X0, X0
	MOVQ    BX, X1
	PSHUFLW $0, X1, X1
	PSHUFD  $0, X1, X1
	PXOR    X2, X2

#define SIXTEENBYTES(at, to) \
	MOVOU    (at)(SI), X3; \
	PSUBB    X0, X3;       \
	PSUBUSB  X1, X3;       \
	PCMPEQB  X2, X3;       \
	PMOVMSKB X3, to

bytes:
	TESTQ CX, CX
	JZ    end
	SIXTEENBYTES(0, AX)
	SIXTEENBYTES(16, BX)
	SIXTEENBYTES(32, DX)
	SIXTEENBYTES(48, R8)
	SHLQ  $16, BX
	SHLQ  $32, DX
	SHLQ  $48, R8
	ORQ   BX, AX
	ORQ   R8, DX
	ORQ   DX, AX
	MOVQ  AX, (DI)
	ADDQ  $64, SI
	ADDQ  $8, DI
	DECQ  CX
	JMP   bytes

end:
	RET
