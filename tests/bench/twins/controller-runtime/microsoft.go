package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const longestCall = 30 * time.Second

// Microsoft keeps one client with its token for each credential.
type Microsoft struct {
	transport http.RoundTripper
	clients   sync.Map // of credential to *http.Client
}

type credential struct{ tokenURL, clientID, secret, scope string }

// tenant returns a client that signs in to the tenant; its token is fetched once and again when it expires.
func (m *Microsoft) tenant(spec *CalendarTenantSpec, secret string) *Tenant {
	graph := strings.TrimSuffix(spec.Endpoints.Graph, "/")
	key := credential{
		tokenURL: strings.TrimSuffix(spec.Endpoints.Login, "/") + "/" + spec.TenantID + "/oauth2/v2.0/token",
		clientID: spec.ClientID,
		secret:   secret,
		scope:    graph + "/.default",
	}
	client, known := m.clients.Load(key)
	if !known {
		client, _ = m.clients.LoadOrStore(key, m.signedIn(key))
	}
	return &Tenant{client: client.(*http.Client), graph: graph + "/v1.0"}
}

func (m *Microsoft) signedIn(as credential) *http.Client {
	config := clientcredentials.Config{
		ClientID:     as.clientID,
		ClientSecret: as.secret,
		TokenURL:     as.tokenURL,
		Scopes:       []string{as.scope},
		AuthStyle:    oauth2.AuthStyleInParams,
	}
	bare := &http.Client{Transport: m.transport, Timeout: longestCall}
	client := config.Client(context.WithValue(context.Background(), oauth2.HTTPClient, bare))
	client.Timeout = longestCall
	return client
}

// Tenant is Graph as one tenant's application sees it.
type Tenant struct {
	client *http.Client
	graph  string
}

// User is somebody in the directory.
type User struct {
	ID                string `json:"id"`
	DisplayName       string `json:"displayName"`
	Mail              string `json:"mail"`
	UserPrincipalName string `json:"userPrincipalName"`
	UserType          string `json:"userType"`
}

// Refused is an answer of Graph that is no success.
type Refused struct {
	Status     int
	RetryAfter time.Duration
	Body       string
}

func (r *Refused) Error() string { return fmt.Sprintf("Graph answered %d: %s", r.Status, r.Body) }

// findUsers asks who has an address.
func (t *Tenant) findUsers(ctx context.Context, address string) ([]User, error) {
	quoted := strings.ReplaceAll(address, "'", "''")
	query := url.Values{
		"$filter": {fmt.Sprintf(
			"proxyAddresses/any(p:p eq 'SMTP:%[1]s') or proxyAddresses/any(p:p eq 'smtp:%[1]s')", quoted)},
		"$select": {"id,displayName,mail,userPrincipalName,proxyAddresses,userType"},
	}
	var page struct {
		Value []User `json:"value"`
	}
	err := t.get(ctx, "/users?"+query.Encode(), &page)
	return page.Value, err
}

// readCalendar proves that a mailbox can be read.
func (t *Tenant) readCalendar(ctx context.Context, id string) error {
	return t.get(ctx, "/users/"+url.PathEscape(id)+"/calendar?%24select=id%2Cowner", nil)
}

// findPlace asks whether Places lists a room.
func (t *Tenant) findPlace(ctx context.Context, address string) error {
	return t.get(ctx, "/places/"+url.PathEscape(address), nil)
}

func (t *Tenant) get(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.graph+path, nil)
	if err != nil {
		return err
	}
	answer, err := t.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
		return &Refused{Status: answer.StatusCode, RetryAfter: time.Duration(seconds) * time.Second, Body: string(body)}
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}
