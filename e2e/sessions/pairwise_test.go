package sessions

import "testing"

// pairwise picks, from combinations of the same length whose numbers are settings, few that hold every pair of settings
// that occurs in any. It takes again and again the one with most pairs that are still missing, the first of equals.
func pairwise(all [][]int) [][]int {
	missing := map[[4]int]bool{}
	for _, c := range all {
		pairs(c, func(p [4]int) { missing[p] = true })
	}
	var chosen [][]int
	for len(missing) > 0 {
		var best []int
		most := 0
		for _, c := range all {
			n := 0
			pairs(c, func(p [4]int) {
				if missing[p] {
					n++
				}
			})
			if n > most {
				best, most = c, n
			}
		}
		pairs(best, func(p [4]int) { delete(missing, p) })
		chosen = append(chosen, best)
	}
	return chosen
}

// pairs calls yield for each pair of settings: which two, and how they are set.
func pairs(c []int, yield func([4]int)) {
	for i := range c {
		for j := i + 1; j < len(c); j++ {
			yield([4]int{i, j, c[i], c[j]})
		}
	}
}

func TestEveryPairOfSettingsIsChosen(t *testing.T) {
	var all [][]int
	for i := range 4 {
		for j := range 3 {
			for k := range 5 {
				for l := range 2 {
					if i == 1 && k == 3 { // a combination that there is not
						continue
					}
					all = append(all, []int{i, j, k, l})
				}
			}
		}
	}
	chosen := pairwise(all)
	seen := map[[4]int]bool{}
	for _, c := range chosen {
		if c[0] == 1 && c[2] == 3 {
			t.Errorf("%v was not among those to choose from", c)
		}
		pairs(c, func(p [4]int) { seen[p] = true })
	}
	for _, c := range all {
		pairs(c, func(p [4]int) {
			if !seen[p] {
				t.Errorf("setting %d as %d never meets setting %d as %d", p[0], p[2], p[1], p[3])
				seen[p] = true
			}
		})
	}
	if len(chosen) < 19 || len(chosen) > 30 {
		t.Errorf("%d of %d combinations were chosen, want little more than the 19 that are needed", len(chosen), len(all))
	}
}
