package diff

// pair is an element that two lists share: its place in each.
type pair struct{ a, b int }

// maxCells bounds the memory and time of one alignment: four megabytes, and
// some milliseconds.
const maxCells = 1 << 20

// align finds the elements that two lists have in common, in their order: the
// longest common subsequence, or where the lists are too long for that only
// their common beginning and end.
func align(a, b []*node) []pair {
	start := 0
	for start < len(a) && start < len(b) && equal(a[start], b[start]) {
		start++
	}
	end := 0
	for end < len(a)-start && end < len(b)-start && equal(a[len(a)-1-end], b[len(b)-1-end]) {
		end++
	}
	var same []pair
	for i := range start {
		same = append(same, pair{i, i})
	}
	rows, cols := len(a)-start-end, len(b)-start-end
	if rows*cols <= maxCells && rows > 0 && cols > 0 {
		same = append(same, longest(a[start:start+rows], b[start:start+cols], start)...)
	}
	for i := range end {
		same = append(same, pair{len(a) - end + i, len(b) - end + i})
	}
	return same
}

// longest is the longest common subsequence of two lists that begin at offset.
func longest(a, b []*node, offset int) []pair {
	ids := identify(a, b)
	idA, idB := ids[:len(a)], ids[len(a):]
	width := len(b) + 1
	length := make([]int32, (len(a)+1)*width) // of what a[i:] and b[j:] share
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			at := i*width + j
			if idA[i] == idB[j] {
				length[at] = length[at+width+1] + 1
			} else {
				length[at] = max(length[at+width], length[at+1])
			}
		}
	}
	var same []pair
	for i, j := 0, 0; i < len(a) && j < len(b); {
		at := i*width + j
		switch {
		case idA[i] == idB[j]:
			same = append(same, pair{offset + i, offset + j})
			i++
			j++
		case length[at+width] >= length[at+1]:
			i++
		default:
			j++
		}
	}
	return same
}

// identify gives equal elements the same number, so that they are compared in
// earnest only once. Elements that are spelt differently count as different
// here; comparing them element by element finds that they are not.
func identify(lists ...[]*node) []int {
	var ids []int
	known := map[string]int{}
	for _, list := range lists {
		for _, n := range list {
			key := n.json()
			if n.isString() {
				key = quote(n.text)
			}
			id, ok := known[key]
			if !ok || n.isMask() && n.text == "***" {
				id = len(known)
				known[key] = id
			}
			ids = append(ids, id)
		}
	}
	return ids
}
