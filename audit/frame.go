package audit

import (
	"bytes"
	"encoding/hex"
	"hash/crc32"
	"strings"
	"time"
)

// frameHeader is the size of what stands in front of an event in the spool.
const frameHeader = 18

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFrame appends the line of one event.
func appendFrame(dst []byte, e *Event, now time.Time) []byte {
	start := len(dst)
	dst = append(dst, "00000000 00000000 "...)
	dst = AppendJSON(dst, e, &Recorded{RecordedAt: now}) // this form has the source, and says when it was spooled
	payload := dst[start+frameHeader:]
	putHex(dst[start:], uint32(len(payload)))
	putHex(dst[start+9:], crc32.Checksum(payload, castagnoli))
	return append(dst, '\n')
}

func putHex(dst []byte, n uint32) {
	hex.Encode(dst, []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// parseFrame returns the event of a line, which ends with its line feed, or nil
// where the line was cut or damaged.
func parseFrame(line []byte) []byte {
	payload, ok := bytes.CutSuffix(line, []byte("\n"))
	if !ok || len(payload) < frameHeader {
		return nil
	}
	payload = payload[frameHeader:]
	var want [frameHeader]byte
	copy(want[:], "00000000 00000000 ")
	putHex(want[:], uint32(len(payload)))
	putHex(want[9:], crc32.Checksum(payload, castagnoli))
	if !bytes.Equal(want[:], line[:frameHeader]) {
		return nil
	}
	return payload
}

// spooledAt is when an event came into the spool, as its line says.
func spooledAt(payload []byte) (at time.Time) {
	members(string(payload), func(key, raw string) bool {
		if key == memberRecordedAt {
			at, _ = ParseTime(strings.Trim(raw, `"`))
		}
		return key != memberRecordedAt
	})
	return at
}
