package audit

// needles finds many short texts in one pass over a long one, however many they
// are (Aho and Corasick, 1975). That is what lets a request be compared with a
// thousand texts in a microsecond or two: ordinary requests hold none of them.
type needles struct {
	class [256]uint8 // bytes that no needle holds share class 0
	width int        // number of classes
	next  []uint16   // state × class
	ends  [][]uint16 // needles that end in a state
	texts []needle
}

type needle struct {
	text    string
	look    int  // of the detector, by number
	atStart bool // of the text only
	// The needle counts only where the letter before or after it, if it begins or
	// ends in one itself, is none: "nikto" is not in "niktoria".
	boundLeft, boundRight bool
}

// found is a needle and where it ended.
type found struct {
	needle *needle
	end    int
}

func newNeedles(texts []needle) *needles {
	n := &needles{texts: texts, width: 1}
	for _, t := range texts {
		for i := range len(t.text) {
			if c := t.text[i]; n.class[c] == 0 {
				n.class[c] = uint8(n.width)
				n.width++
			}
		}
	}
	// The trie: 0 is the root, and stands for "nowhere" too.
	n.grow()
	for i, t := range texts {
		state := 0
		for j := range len(t.text) {
			at := state*n.width + int(n.class[t.text[j]])
			if n.next[at] == 0 {
				n.next[at] = uint16(n.grow())
			}
			state = int(n.next[at])
		}
		n.ends[state] = append(n.ends[state], uint16(i))
	}
	// Where the trie has no way on, take that of the longest end of what was read.
	fall := make([]int, len(n.ends))
	var queue []int
	for c := range n.width {
		if s := int(n.next[c]); s != 0 {
			queue = append(queue, s)
		}
	}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		n.ends[s] = append(n.ends[s], n.ends[fall[s]]...)
		for c := range n.width {
			other := n.next[fall[s]*n.width+c]
			if child := int(n.next[s*n.width+c]); child != 0 {
				fall[child] = int(other)
				queue = append(queue, child)
			} else {
				n.next[s*n.width+c] = other
			}
		}
	}
	return n
}

// grow adds a state.
func (n *needles) grow() int {
	n.next = append(n.next, make([]uint16, n.width)...)
	n.ends = append(n.ends, nil)
	if len(n.ends) > 1<<16 {
		panic("audit: more needles than states can be numbered")
	}
	return len(n.ends) - 1
}

// find appends what it finds in a text.
func (n *needles) find(text []byte, all []found) []found {
	state := 0
	for i, c := range text {
		state = int(n.next[state*n.width+int(n.class[c])])
		for _, id := range n.ends[state] {
			t := &n.texts[id]
			if t.boundRight && i+1 < len(text) && (isWordByte(text[i+1]) || text[i+1] == '-' && t.text[0] == '/') {
				continue
			}
			if from := i - len(t.text); from >= 0 && (t.atStart || t.boundLeft && isWordByte(text[from])) {
				continue
			}
			all = append(all, found{t, i + 1})
		}
	}
	return all
}
