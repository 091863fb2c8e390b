// A minimal SFU on Pion, written as its broadcast and whip-whep examples suggest, for a comparison:
// one publisher to a room, all others watch.
//
// One UDP port (UDPMux), ICE-lite, one local track for each kind of the room: its Write fans out to
// all watchers. The default interceptors answer and send NACKs and reports, and send TWCC feedback
// to the publisher. The flags are those of the other comparators.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/ice/v2"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v3"
)

const (
	socketBuffer     = 4 << 20
	offerBytesMax    = 1 << 20
	keyframeInterval = 500 * time.Millisecond
)

type sfu struct {
	api      *webrtc.API
	mu       sync.Mutex
	rooms    map[string]*room
	sessions map[uint64]*session
	nextID   uint64
}

// A room lives from its first session until the program ends.
type room struct {
	video, audio *webrtc.TrackLocalStaticRTP

	mu        sync.Mutex
	publisher *webrtc.PeerConnection
	videoSSRC webrtc.SSRC
	asked     time.Time
	// A request waits for the interval to end.
	waiting bool
}

type session struct {
	connection *webrtc.PeerConnection
}

func main() {
	httpAddr := flag.String("http-addr", "127.0.0.1:7890", "address of the HTTP front")
	udpPort := flag.Int("udp-port", 7891, "the UDP port for all media")
	advertise := flag.String("advertise", "127.0.0.1", "address media are bound to")
	flag.Parse()

	api, err := newAPI(net.ParseIP(*advertise), *udpPort)
	if err != nil {
		log.Fatal(err)
	}
	s := &sfu{api: api, rooms: map[string]*room{}, sessions: map[uint64]*session{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "ready")
	})
	mux.HandleFunc("/pid", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, os.Getpid())
	})
	mux.HandleFunc("/whip/", func(w http.ResponseWriter, r *http.Request) { s.join(w, r, s.publish) })
	mux.HandleFunc("/whep/", func(w http.ResponseWriter, r *http.Request) { s.join(w, r, s.watch) })
	mux.HandleFunc("/session/", s.leave)

	server := &http.Server{Addr: *httpAddr, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-ended
		_ = server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}

func newAPI(address net.IP, port int) (*webrtc.API, error) {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: address, Port: port})
	if err != nil {
		return nil, err
	}
	if err := conn.SetReadBuffer(socketBuffer); err != nil {
		return nil, err
	}
	if err := conn.SetWriteBuffer(socketBuffer); err != nil {
		return nil, err
	}
	settings := webrtc.SettingEngine{}
	settings.SetLite(true)
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	settings.SetICEUDPMux(webrtc.NewICEUDPMux(nil, conn))
	// As server, Pion chooses the cipher.
	if err := settings.SetAnsweringDTLSRole(webrtc.DTLSRoleServer); err != nil {
		return nil, err
	}
	// GCM first: on this hardware it costs a third of the other.
	settings.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80)

	media := &webrtc.MediaEngine{}
	if err := registerCodecs(media); err != nil {
		return nil, err
	}
	interceptors := &interceptor.Registry{}
	if err := webrtc.RegisterDefaultInterceptors(media, interceptors); err != nil {
		return nil, err
	}
	return webrtc.NewAPI(
		webrtc.WithMediaEngine(media),
		webrtc.WithInterceptorRegistry(interceptors),
		webrtc.WithSettingEngine(settings),
	), nil
}

func registerCodecs(media *webrtc.MediaEngine) error {
	opus := webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2,
			SDPFmtpLine: "minptime=10;useinbandfec=1",
		},
		PayloadType: 111,
	}
	if err := media.RegisterCodec(opus, webrtc.RTPCodecTypeAudio); err != nil {
		return err
	}
	// Generic NACK and TWCC are added with their interceptors.
	vp8 := webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeVP8, ClockRate: 90000,
			RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}},
		},
		PayloadType: 96,
	}
	if err := media.RegisterCodec(vp8, webrtc.RTPCodecTypeVideo); err != nil {
		return err
	}
	level := webrtc.RTPHeaderExtensionCapability{URI: "urn:ietf:params:rtp-hdrext:ssrc-audio-level"}
	return media.RegisterHeaderExtension(level, webrtc.RTPCodecTypeAudio)
}

// join answers an offer; prepare gives the connection its tracks before.
func (s *sfu) join(
	w http.ResponseWriter, r *http.Request,
	prepare func(*room, *webrtc.PeerConnection) error,
) {
	if r.Method != http.MethodPost {
		http.Error(w, "POST an offer", http.StatusMethodNotAllowed)
		return
	}
	offer, err := io.ReadAll(http.MaxBytesReader(w, r.Body, offerBytesMax))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	name := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")[1]
	id, answer, err := s.accept(name, string(offer), prepare)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/sdp")
	w.Header().Set("Location", fmt.Sprintf("/session/%d", id))
	w.WriteHeader(http.StatusCreated)
	fmt.Fprint(w, answer)
}

func (s *sfu) accept(
	name, offer string, prepare func(*room, *webrtc.PeerConnection) error,
) (uint64, string, error) {
	room, err := s.room(name)
	if err != nil {
		return 0, "", err
	}
	connection, err := s.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return 0, "", err
	}
	answer, err := negotiate(connection, offer, func() error { return prepare(room, connection) })
	if err != nil {
		_ = connection.Close()
		return 0, "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextID++
	s.sessions[s.nextID] = &session{connection: connection}
	return s.nextID, answer, nil
}

func negotiate(connection *webrtc.PeerConnection, offer string, prepare func() error) (string, error) {
	if err := prepare(); err != nil {
		return "", err
	}
	description := webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}
	if err := connection.SetRemoteDescription(description); err != nil {
		return "", err
	}
	answer, err := connection.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(connection)
	if err := connection.SetLocalDescription(answer); err != nil {
		return "", err
	}
	<-gathered
	return connection.LocalDescription().SDP, nil
}

func (s *sfu) room(name string) (*room, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.rooms[name]; ok {
		return r, nil
	}
	track := func(mime, kind string) (*webrtc.TrackLocalStaticRTP, error) {
		return webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, kind, name)
	}
	video, err := track(webrtc.MimeTypeVP8, "video")
	if err != nil {
		return nil, err
	}
	audio, err := track(webrtc.MimeTypeOpus, "audio")
	if err != nil {
		return nil, err
	}
	r := &room{video: video, audio: audio}
	s.rooms[name] = r
	return r, nil
}

func (s *sfu) publish(r *room, connection *webrtc.PeerConnection) error {
	connection.OnTrack(func(remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
		go drain(receiver.Read)
		local := r.audio
		if remote.Kind() == webrtc.RTPCodecTypeVideo {
			local = r.video
			r.mu.Lock()
			r.publisher, r.videoSSRC = connection, remote.SSRC()
			r.mu.Unlock()
			r.requestKeyframe()
		}
		buffer := make([]byte, 1500)
		for {
			n, _, err := remote.Read(buffer)
			if err != nil {
				return
			}
			// A watcher that is closing must not end the others.
			_, _ = local.Write(buffer[:n])
		}
	})
	return nil
}

func (s *sfu) watch(r *room, connection *webrtc.PeerConnection) error {
	for _, track := range []*webrtc.TrackLocalStaticRTP{r.audio, r.video} {
		sender, err := connection.AddTrack(track)
		if err != nil {
			return err
		}
		go r.readFeedback(sender)
	}
	connection.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateConnected {
			r.requestKeyframe()
		}
	})
	return nil
}

// readFeedback keeps the interceptors fed, and hands requests for a picture on.
func (r *room) readFeedback(sender *webrtc.RTPSender) {
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, packet := range packets {
			switch packet.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				r.requestKeyframe()
			}
		}
	}
}

// requestKeyframe asks once for all who ask within the interval.
func (r *room) requestKeyframe() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.publisher == nil || r.waiting {
		return
	}
	if early := keyframeInterval - time.Since(r.asked); early > 0 {
		r.waiting = true
		time.AfterFunc(early, func() {
			r.mu.Lock()
			r.waiting = false
			r.mu.Unlock()
			r.requestKeyframe()
		})
		return
	}
	r.asked = time.Now()
	pli := &rtcp.PictureLossIndication{MediaSSRC: uint32(r.videoSSRC)}
	_ = r.publisher.WriteRTCP([]rtcp.Packet{pli})
}

func drain(read func([]byte) (int, interceptor.Attributes, error)) {
	buffer := make([]byte, 1500)
	for {
		if _, _, err := read(buffer); err != nil {
			return
		}
	}
}

func (s *sfu) leave(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodDelete {
		http.Error(w, "DELETE ends a session", http.StatusMethodNotAllowed)
		return
	}
	var id uint64
	if _, err := fmt.Sscanf(r.URL.Path, "/session/%d", &id); err != nil {
		http.NotFound(w, r)
		return
	}
	s.mu.Lock()
	found, ok := s.sessions[id]
	delete(s.sessions, id)
	s.mu.Unlock()
	if ok {
		_ = found.connection.Close()
	}
}
