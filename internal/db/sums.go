package db

// nearSums is of how many words the sums lie in an array.
const nearSums = 1 << 18

// sums are numbers added up for some of many words.
type sums struct {
	near    []uint32 // by the number of the word, where there are few enough
	touched []uint32 // of those the ones that were added to
	far     map[uint32]uint32
}

// newSums are sums for the words that have numbers below size.
func newSums(n *names, size int) *sums {
	if size <= nearSums {
		return &sums{near: n.array(size)}
	}
	return &sums{far: map[uint32]uint32{}}
}

// add adds to a sum, or takes all of it away; what is away is not added to again.
func (s *sums) add(number, times uint32) {
	if s.near == nil {
		s.far[number] += times
		return
	}
	if s.near[number] == 0 {
		s.touched = append(s.touched, number)
	}
	s.near[number] += times
}

func (s *sums) of(number uint32) uint32 {
	if s.near == nil {
		return s.far[number]
	}
	return s.near[number]
}

// list returns the words whose sum is not zero, in no order, with what whole makes of
// the sum, where it is not nil.
func (s *sums) list(whole func(number, times uint32) uint32) []wordCount {
	all := make([]wordCount, 0, max(len(s.touched), len(s.far)))
	add := func(number, times uint32) {
		if times == 0 {
			return
		}
		if whole != nil {
			times = whole(number, times)
		}
		all = append(all, wordCount{number, times})
	}
	if s.near == nil {
		for number, times := range s.far {
			add(number, times)
		}
	} else {
		for _, number := range s.touched {
			add(number, s.near[number])
		}
	}
	return all
}

// release gives the array back.
func (s *sums) release(n *names) {
	if s.near == nil {
		return
	}
	for _, number := range s.touched {
		s.near[number] = 0
	}
	n.arrays.Put(&s.near)
}
