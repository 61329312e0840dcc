// The client of the SslStream class page, for the interoperability tests.
//
//     SampleClient.exe HOST PORT SERVERNAME CAFILE [PFXFILE PASSWORD] [shutdown]
//
// With "shutdown" it sends a close_notify before it closes, which the
// documented sample does not do.
//
// It differs from the documented sample in this: where to connect and the
// client's certificate come from the command line, the authority in CAFILE is
// the one that is trusted (a test's authority is in no store of the machine),
// it speaks TLS 1.2, and the exit status is 0 only if the whole conversation
// went well.
//
// Mono's X509Chain builds its chains in managed code that can neither read an
// elliptic-curve key nor excuse a critical extension it does not know, while
// the TLS provider under SslStream (BoringSSL) validates properly: hence the
// authority is given to the provider, and the callback is the documented one.
//
// Now and then Mono's runtime hangs as it ends, when all is said and done:
// hence the program leaves without it.

using System;
using System.IO;
using System.Net.Security;
using System.Net.Sockets;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;

using Mono.Security.Interface;

public static class SslTcpClient
{
    const string Marker = "<EOF>";

    static bool shutdown;

    // Make the authority in the file the only one that is trusted.
    static void Configure(string file)
    {
        MonoTlsSettings settings = new MonoTlsSettings();
        settings.TrustAnchors = new X509CertificateCollection();
        settings.TrustAnchors.Add(new X509Certificate2(file));
        // Otherwise the machine's and the user's stores would be trusted too.
        SetInternal(settings, "CertificateSearchPaths", new string[] { "@trusted" });
        // Otherwise ShutdownAsync is a quiet one.
        if (shutdown)
            SetInternal(settings, "SendCloseNotify", true);
        MonoTlsSettings.DefaultSettings = settings;
    }

    // A setting that Mono keeps to itself.
    static void SetInternal(MonoTlsSettings settings, string name, object value)
    {
        PropertyInfo property = typeof(MonoTlsSettings).GetProperty(
            name, BindingFlags.Instance | BindingFlags.NonPublic);
        if (property == null)
            throw new NotSupportedException("this Mono has no setting " + name);
        property.SetValue(settings, value, null);
    }

    // The following method is invoked by the RemoteCertificateValidationDelegate.
    public static bool ValidateServerCertificate(
        object sender, X509Certificate certificate, X509Chain chain,
        SslPolicyErrors sslPolicyErrors)
    {
        if (certificate != null && sslPolicyErrors == SslPolicyErrors.None)
            return true;
        Console.WriteLine("Certificate error: {0}", sslPolicyErrors);
        // Do not allow this client to communicate with unauthenticated servers.
        return false;
    }

    // Left to itself, Mono sends none of the certificates to a server that names
    // the authorities it accepts.
    public static X509Certificate SelectClientCertificate(
        object sender, string targetHost, X509CertificateCollection localCertificates,
        X509Certificate remoteCertificate, string[] acceptableIssuers)
    {
        Console.WriteLine("Client is selecting a local certificate.");
        // Null, in Mono, where the server names none.
        foreach (string issuer in acceptableIssuers ?? new string[0])
            Console.WriteLine("Acceptable issuer: {0}", issuer);
        return localCertificates[0];
    }

    static int RunClient(
        string host, int port, string serverName, X509CertificateCollection certificates)
    {
        // Create a TCP/IP client socket.
        TcpClient client = new TcpClient(host, port);
        Console.WriteLine("Client connected.");
        // Create an SSL stream that will close the client's socket.
        SslStream sslStream = new SslStream(
            client.GetStream(), false,
            new RemoteCertificateValidationCallback(ValidateServerCertificate),
            certificates.Count == 0
                ? null : new LocalCertificateSelectionCallback(SelectClientCertificate));
        sslStream.ReadTimeout = 10000;
        sslStream.WriteTimeout = 10000;
        try {
            // The server name must match the name on the server certificate.
            sslStream.AuthenticateAsClient(
                serverName, certificates, SslProtocols.Tls12, false);
        } catch (AuthenticationException e) {
            Console.WriteLine("Exception: {0}", e.Message);
            for (Exception inner = e.InnerException; inner != null; inner = inner.InnerException)
                Console.WriteLine("Inner exception: {0}", inner.Message);
            Console.WriteLine("Authentication failed - closing the connection.");
            client.Close();
            return 1;
        }
        DisplaySecurity(sslStream);
        // Encode a test message into a byte array.
        // Signal the end of the message using the "<EOF>".
        byte[] message = Encoding.UTF8.GetBytes("Hello from the client.<EOF>");
        sslStream.Write(message);
        sslStream.Flush();
        // Read message from the server.
        string serverMessage = ReadMessage(sslStream);
        Console.WriteLine("Server says: {0}", serverMessage);
        // Close the client connection.  This alone sends no close_notify.
        if (shutdown)
            sslStream.ShutdownAsync().Wait(5000);
        sslStream.Close();
        client.Close();
        if (serverMessage.IndexOf(Marker, StringComparison.Ordinal) == -1) {
            Console.WriteLine("The server's message has no end.");
            return 1;
        }
        Console.WriteLine("Client closed.");
        return 0;
    }

    static string ReadMessage(SslStream sslStream)
    {
        // The end of the message is signalled using the "<EOF>" marker.  One
        // decoder for the whole message, in case a character spans two buffers.
        byte[] buffer = new byte[2048];
        StringBuilder messageData = new StringBuilder();
        Decoder decoder = Encoding.UTF8.GetDecoder();
        int bytes;
        do {
            bytes = sslStream.Read(buffer, 0, buffer.Length);
            char[] chars = new char[decoder.GetCharCount(buffer, 0, bytes)];
            decoder.GetChars(buffer, 0, bytes, chars, 0);
            messageData.Append(chars);
            // Check for EOF.
            if (messageData.ToString().IndexOf(Marker, StringComparison.Ordinal) != -1)
                break;
        } while (bytes != 0);
        return messageData.ToString();
    }

    // What the stream has to say of the connection.
    static void DisplaySecurity(SslStream stream)
    {
        Console.WriteLine("Cipher: {0} strength {1}",
            Told(() => stream.CipherAlgorithm), Told(() => stream.CipherStrength));
        Console.WriteLine("Hash: {0} strength {1}",
            Told(() => stream.HashAlgorithm), Told(() => stream.HashStrength));
        Console.WriteLine("Key exchange: {0} strength {1}",
            Told(() => stream.KeyExchangeAlgorithm), Told(() => stream.KeyExchangeStrength));
        Console.WriteLine("Protocol: {0}", stream.SslProtocol);
        // Not in the documented sample, but the one thing Mono tells of the cipher.
        Console.WriteLine("Cipher suite: {0}", Told(() => MonoTlsProviderFactory
            .GetMonoSslStream(stream).GetConnectionInfo().CipherSuiteCode));
        Console.WriteLine("Is authenticated: {0} as server? {1}",
            stream.IsAuthenticated, stream.IsServer);
        Console.WriteLine("Is mutually authenticated: {0}", stream.IsMutuallyAuthenticated);
        Console.WriteLine("IsSigned: {0}", stream.IsSigned);
        Console.WriteLine("Is Encrypted: {0}", stream.IsEncrypted);
        Console.WriteLine("Can read: {0}, write {1}", stream.CanRead, stream.CanWrite);
        Console.WriteLine("Can timeout: {0}", stream.CanTimeout);
        Console.WriteLine("Certificate revocation list checked: {0}",
            Told(() => stream.CheckCertRevocationStatus));
        DisplayCertificate("Local", stream.LocalCertificate);
        DisplayCertificate("Remote", stream.RemoteCertificate);
    }

    // Some of Mono's getters raise, even of an authenticated stream.
    static object Told(Func<object> getter)
    {
        try {
            return getter();
        } catch (Exception e) {
            return "(" + e.GetType().Name + ")";
        }
    }

    static void DisplayCertificate(string whose, X509Certificate certificate)
    {
        if (certificate == null) {
            Console.WriteLine("{0} certificate is null.", whose);
            return;
        }
        Console.WriteLine("{0} cert was issued to {1} and is valid from {2} until {3}.", whose,
            certificate.Subject, certificate.GetEffectiveDateString(),
            certificate.GetExpirationDateString());
    }

    [DllImport("libc", EntryPoint = "_exit")]
    static extern void Leave(int status);

    public static void Main(string[] args)
    {
        int status = Run(args);
        Console.Out.Flush();
        Console.Error.Flush();
        Leave(status);
    }

    static int Run(string[] args)
    {
        int count = args.Length;
        if (count > 0 && args[count - 1] == "shutdown") {
            shutdown = true;
            count--;
        }
        if (count != 4 && count != 6) {
            Console.Error.WriteLine("usage: SampleClient.exe"
                + " HOST PORT SERVERNAME CAFILE [PFXFILE PASSWORD] [shutdown]");
            return 2;
        }
        try {
            Configure(args[3]);
            X509CertificateCollection certificates = new X509CertificateCollection();
            if (count == 6)
                certificates.Add(new X509Certificate2(args[4], args[5]));
            return RunClient(args[0], int.Parse(args[1]), args[2], certificates);
        } catch (Exception e) {
            // Anything but an AuthenticationException: a refused connection, one
            // that broke, a file that cannot be read.
            for (Exception inner = e; inner != null; inner = inner.InnerException)
                Console.WriteLine("{0}: {1}", inner.GetType().Name, inner.Message);
            Console.WriteLine("The conversation failed.");
            return 1;
        }
    }
}
