package dashboard

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"sync"
	"time"

	"github.com/hellolab/hellolab/messages"
)

// passFor is how long a pass is good: a browser that has to be started first may take its time.
const passFor = time.Minute

// pass is what the browser's address has in place of the token. Whoever uses this machine can read the address in the list of processes, so it is
// exchanged for the token once only, and soon; if it comes twice, one of the two was not the reader.
type pass struct {
	code   string
	until  time.Time
	shared chan struct{} // closed when it has come twice

	mutex sync.Mutex
	times int
}

func newPass() (*pass, error) {
	code, err := secret()
	return &pass{code: code, until: time.Now().Add(passFor), shared: make(chan struct{})}, err
}

// secret is a random text that nobody guesses.
func secret() (string, error) {
	bytes := make([]byte, 16)
	_, err := rand.Read(bytes)
	return hex.EncodeToString(bytes), err
}

// take reports whether code is the pass, comes in time, and for the first time.
func (p *pass) take(code string) bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if subtle.ConstantTimeCompare([]byte(code), []byte(p.code)) != 1 || time.Now().After(p.until) {
		return false
	}
	if p.times++; p.times == 2 {
		close(p.shared)
	}
	return p.times == 1
}

// shared is why Run ends where the pass has come twice.
func shared() error {
	return messages.Errorf("the address that the browser was given has been used twice: somebody else may have read it").
		WithHint("%s, and open the address yourself", messages.Hellolab("dashboard", "--no-browser"))
}
