package evidence

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"hash"
)

// hasher computes SHA-256 of many short messages, one after the other: an event
// has two dozen of them. sha256.Sum256 copies a message into a digest, the digest
// into another one and pads it there, which takes longer than to hash it. Here a
// message is padded where it stands, and the digest is asked for its state, which is
// the hash then. The zero hasher goes the ordinary way.
type hasher struct {
	digest interface {
		hash.Hash
		encoding.BinaryAppender
	}
	message []byte // room for the message that is next
	state   []byte
}

// newHasher returns a hasher. Where the state of a digest is not written as it is
// known to be, the hasher goes the ordinary way.
func newHasher() *hasher {
	h := &hasher{message: make([]byte, 0, 1024)}
	h.digest, _ = sha256.New().(interface {
		hash.Hash
		encoding.BinaryAppender
	})
	if h.digest != nil && h.sum(h.message) != sha256.Sum256(nil) {
		h.digest = nil
	}
	return h
}

// sum returns the hash of a message, which was appended to h.message[:0].
func (h *hasher) sum(message []byte) Hash {
	const (
		block   = 64
		length  = 8
		stateAt = 4 // behind the letters that say of what it is
	)
	if h.digest == nil {
		return sha256.Sum256(message)
	}
	bits := 8 * uint64(len(message))
	var padding [block]byte
	padding[0] = 0x80
	padded := append(message, padding[:block-(len(message)+length)%block]...)
	padded = binary.BigEndian.AppendUint64(padded, bits)
	h.message = padded[:0]
	h.digest.Reset()
	h.digest.Write(padded)
	state, err := h.digest.AppendBinary(h.state[:0])
	if h.state = state; err != nil || len(state) < stateAt+len(Hash{}) {
		return Hash{} // no hash of anything: newHasher sees it
	}
	return Hash(state[stateAt:])
}
