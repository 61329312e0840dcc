/*
 * The peer of whatever is tested over sockets: one thread, blocking sockets,
 * OpenSSL.
 *
 *     peer client ROLE PORT PEM SIZE AMOUNT CONNECTIONS FLAGS
 *     peer server PEM FLAGS
 *
 * As a client it trusts the root in PEM; as a server PEM has its key and its
 * certificates, and it tells the port that it listens on.  ROLE is what the
 * client does: "receive" reads AMOUNT bytes; "send" writes as many, SIZE at a
 * time, and waits for a byte; "echo" sends AMOUNT messages on all CONNECTIONS in
 * turns and reads them back; "handshake" makes AMOUNT connections one after
 * another; and "rest" opens as many connections as each line that it reads says,
 * each of which has SIZE bytes echoed, and then tells that it did.  FLAGS are letters: p for no TLS,
 * o for TLS 1.2, r for sessions that go on, - for none.
 *
 * In bulk it reads and writes CHUNK bytes in each call of the kernel, however
 * large the records are: a peer that is slower than the tested side would be all
 * that is measured.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK (128 * 1024)

static SSL_CTX *context;
static SSL_SESSION *session;
static int isPlain, isServer, resumes;
static char buffer[1 << 20];

struct connection {
    int fd;
    SSL *ssl;
};

static void fail(const char *what)
{
    perror(what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static int keep(SSL *ssl, SSL_SESSION *given)
{
    (void)ssl;
    SSL_SESSION_free(session);
    session = given;
    return 1;
}

static struct sockaddr_in address(int port)
{
    struct sockaddr_in made = {.sin_family = AF_INET, .sin_port = htons(port)};
    made.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return made;
}

/* What it writes may wait for more until it is flushed. */
static void put(struct connection *to, size_t size)
{
    size_t done = 0;
    while (done < size) {
        int count = isPlain ? write(to->fd, buffer + done, size - done)
                            : SSL_write(to->ssl, buffer + done, size - done);
        if (count <= 0 && isServer)
            return;
        if (count <= 0)
            fail("write");
        done += count;
    }
}

static void flush(struct connection *to)
{
    if (to->ssl != NULL && BIO_flush(SSL_get_wbio(to->ssl)) != 1 && !isServer)
        fail("flush");
}

static void tell(struct connection *to, size_t size)
{
    put(to, size);
    flush(to);
}

/* Returns how much came; 0 at the end. */
static int get(struct connection *from, size_t size)
{
    int count = isPlain ? read(from->fd, buffer, size) : SSL_read(from->ssl, buffer, size);
    if (count < 0 && !isServer)
        fail("read");
    return count < 0 ? 0 : count;
}

static void getAll(struct connection *from, long long size)
{
    while (size > 0) {
        int count = get(from, size < (long long)sizeof buffer ? (size_t)size : sizeof buffer);
        if (count == 0)
            fail("early end");
        size -= count;
    }
}

static struct connection wrap(int fd)
{
    int on = 1;
    struct connection made = {fd, NULL};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!isPlain) {
        made.ssl = SSL_new(context);
        SSL_set_fd(made.ssl, fd);
        BIO *buffered = BIO_new(BIO_f_buffer());
        BIO_set_write_buffer_size(buffered, CHUNK);
        BIO_up_ref(SSL_get_wbio(made.ssl));
        SSL_set0_wbio(made.ssl, BIO_push(buffered, SSL_get_wbio(made.ssl)));
    }
    return made;
}

static struct connection dial(int port)
{
    struct sockaddr_in to = address(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        fail("connect");
    struct connection made = wrap(fd);
    if (!isPlain) {
        SSL_set_tlsext_host_name(made.ssl, "localhost");
        SSL_set1_host(made.ssl, "localhost");
        if (resumes && session != NULL)
            SSL_set_session(made.ssl, session);
        if (SSL_connect(made.ssl) != 1)
            fail("SSL_connect");
    }
    return made;
}

static void hangUp(struct connection *which)
{
    struct timeval patience = {5, 0};
    if (which->ssl != NULL)
        SSL_shutdown(which->ssl);
    flush(which);
    /* A socket closed with bytes unread, such as tickets, resets the connection,
     * and the other side may lose what it has yet to read. */
    shutdown(which->fd, SHUT_WR);
    setsockopt(which->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    while (read(which->fd, buffer, sizeof buffer) > 0)
        ;
    SSL_free(which->ssl);
    close(which->fd);
}

static void handshakes(int port, long long amount)
{
    long long resumed = 0, index;
    for (index = 0; index < amount; index++) {
        struct connection made = dial(port);
        tell(&made, 1);
        getAll(&made, 1);
        resumed += made.ssl != NULL && SSL_session_reused(made.ssl);
        hangUp(&made);
    }
    if (resumes ? resumed < amount * 9 / 10 : resumed > 0) {
        fprintf(stderr, "%lld of %lld sessions went on\n", resumed, amount);
        exit(1);
    }
}

static void echoes(int port, size_t size, long long amount, int count)
{
    struct connection *all = calloc(count, sizeof *all);
    int index;
    for (index = 0; index < count; index++)
        all[index] = dial(port);
    for (; amount > 0; amount -= count) {
        for (index = 0; index < count; index++)
            tell(&all[index], size);
        for (index = 0; index < count; index++)
            getAll(&all[index], size);
    }
    for (index = 0; index < count; index++)
        hangUp(&all[index]);
    free(all);
}

static void rest(int port, size_t size)
{
    char line[32];
    while (fgets(line, sizeof line, stdin) != NULL) {
        for (int count = atoi(line); count > 0; count--) {
            struct connection made = dial(port);
            tell(&made, size);
            getAll(&made, size);
        }
        puts("open");
        fflush(stdout);
    }
}

static void work(char **arguments)
{
    const char *role = arguments[0];
    int port = atoi(arguments[1]);
    size_t size = atoll(arguments[3]);
    long long amount = atoll(arguments[4]);
    struct connection made;
    if (strcmp(role, "handshake") == 0) {
        handshakes(port, amount);
        return;
    }
    if (strcmp(role, "echo") == 0) {
        echoes(port, size, amount, atoi(arguments[5]));
        return;
    }
    if (strcmp(role, "rest") == 0) {
        rest(port, size);
        return;
    }
    made = dial(port);
    if (strcmp(role, "receive") == 0) {
        tell(&made, 1);
        getAll(&made, amount);
        tell(&made, 1);
    } else {
        for (; amount > 0; amount -= size)
            put(&made, size);
        flush(&made);
        getAll(&made, 1);
    }
    hangUp(&made);
}

static void serve(void)
{
    struct sockaddr_in here = address(0);
    socklen_t length = sizeof here;
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    if (listening < 0 || bind(listening, (struct sockaddr *)&here, sizeof here) != 0 ||
        listen(listening, 1024) != 0 ||
        getsockname(listening, (struct sockaddr *)&here, &length) != 0)
        fail("listen");
    printf("%d\n", ntohs(here.sin_port));
    fflush(stdout);
    for (;;) {
        struct connection made = wrap(accept(listening, NULL, NULL));
        if (made.ssl != NULL && SSL_accept(made.ssl) != 1)
            fail("SSL_accept");
        while (get(&made, 1) == 1)
            tell(&made, 1);
        hangUp(&made);
    }
}

int main(int count, char **arguments)
{
    isServer = count == 4 && strcmp(arguments[1], "server") == 0;
    if (!isServer && count != 9) {
        fprintf(stderr, "see the source\n");
        return 2;
    }
    const char *flags = arguments[count - 1];
    const char *pem = arguments[isServer ? 2 : 4];
    isPlain = strchr(flags, 'p') != NULL;
    resumes = strchr(flags, 'r') != NULL;
    signal(SIGPIPE, SIG_IGN);
    /* As many connections as there may be. */
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    /* Not to outlive whoever started it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    context = SSL_CTX_new(isServer ? TLS_server_method() : TLS_client_method());
    SSL_CTX_set_min_proto_version(
        context, strchr(flags, 'o') != NULL ? TLS1_2_VERSION : TLS1_3_VERSION);
    SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM+AES128");
    SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, CHUNK);
    if (isServer) {
        if (SSL_CTX_use_certificate_chain_file(context, pem) != 1 ||
            SSL_CTX_use_PrivateKey_file(context, pem, SSL_FILETYPE_PEM) != 1)
            fail(pem);
        serve();
    } else {
        if (SSL_CTX_load_verify_locations(context, pem, NULL) != 1)
            fail(pem);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT);
        SSL_CTX_sess_set_new_cb(context, keep);
        work(arguments + 2);
    }
    return 0;
}
