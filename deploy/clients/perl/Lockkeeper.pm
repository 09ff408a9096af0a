package Lockkeeper;

# A client of Lockkeeper's API: core modules only. https takes IO::Socket::SSL beside them.
#
#     my $service = Lockkeeper->from_environment;
#     my $hostname = $service->put_hostname('shop.example', { external_id => 'cpanel:alice' });
#
# What the service says no to is died with, as { status, code, detail, request_id, errors }.

use strict;
use warnings;

use HTTP::Tiny ();
use JSON::PP   ();

our $VERSION = '1.0';

my $TRIES             = 5;
my $RETRY_SECONDS_MAX = 30;
my $TIMEOUT_SECONDS   = 60;

sub new {
    my ($class, %args) = @_;
    $args{api} =~ s{/+\z}{};
    my $http = HTTP::Tiny->new(
        agent        => "lockkeeper-perl/$VERSION",
        timeout      => $TIMEOUT_SECONDS,
        verify_SSL   => 1,
        max_redirect => 0,
    );
    return bless { api => $args{api}, token => $args{token}, http => $http, json => JSON::PP->new->utf8->canonical }, $class;
}

sub from_environment {
    my ($class) = @_;
    my $token = $ENV{LOCKKEEPER_TOKEN} or die "LOCKKEEPER_TOKEN is not set\n";
    return $class->new(api => $ENV{LOCKKEEPER_API} || 'http://127.0.0.1:8400', token => $token);
}

# Has the name certified. The same again changes nothing.
sub put_hostname {
    my ($self, $name, $wish, $wait_seconds) = @_;
    return $self->call('PUT', '/v1/hostnames/' . _escape($name), $wish || {}, $wait_seconds);
}

sub hostname {
    my ($self, $name) = @_;
    return $self->call('GET', '/v1/hostnames/' . _escape($name));
}

# Gives the name up; one that is not there is given up already.
sub delete_hostname {
    my ($self, $name) = @_;
    my $gone = eval { $self->call('DELETE', '/v1/hostnames/' . _escape($name)); 1 };
    die $@ if !$gone && !(ref $@ && $@->{code} eq 'not-found');
    return;
}

# Leaf, chain and key.
sub bundle {
    my ($self, $certificate_id) = @_;
    return $self->call('GET', '/v1/certificates/' . _escape($certificate_id) . '/bundle?format=json');
}

# All rows of a list.
sub list {
    my ($self, $path, %filters) = @_;
    my ($cursor, @rows);
    do {
        my %query = (%filters, defined $cursor ? (cursor => $cursor) : ());
        my $query = join '&', map { _escape($_) . '=' . _escape($query{$_}) } sort keys %query;
        my $page = $self->call('GET', $query eq '' ? $path : "$path?$query");
        push @rows, @{ $page->{data} };
        $cursor = $page->{next_cursor};
    } while (defined $cursor);
    return @rows;
}

# One request. Where nobody can know whether it was carried out, it is sent again under the same name.
sub call {
    my ($self, $method, $path, $body, $wait_seconds) = @_;
    my %headers = (Authorization => "Bearer $self->{token}", Accept => 'application/json');
    $headers{'Idempotency-Key'} = _name() if $method ne 'GET';
    $headers{Prefer} = "wait=$wait_seconds" if $wait_seconds;
    $headers{'Content-Type'} = 'application/json' if $body;
    my %options = (headers => \%headers, $body ? (content => $self->{json}->encode($body)) : ());
    for my $try (1 .. $TRIES) {
        my $answer = $self->{http}->request($method, $self->{api} . $path, \%options);
        my ($status, $after) = ($answer->{status}, $answer->{headers}{'retry-after'});
        # 599: HTTP::Tiny has got no answer.
        my $again = $status >= 500 || (defined $after && $status >= 400);
        if ($again && $try < $TRIES) {
            my $wait = defined $after && $after =~ /\A\d+\z/ ? $after : 2**($try - 1);
            sleep($wait < $RETRY_SECONDS_MAX ? $wait : $RETRY_SECONDS_MAX);
            next;
        }
        die { status => $status, code => 'unreachable', detail => $answer->{content} } if $status == 599;
        my $document = length($answer->{content} // '') ? $self->{json}->decode($answer->{content}) : {};
        return $document if $status < 400;
        die { status => $status, map { $_ => $document->{$_} } qw(code detail request_id errors) };
    }
    return;
}

sub _escape {
    my ($text) = @_;
    utf8::encode($text) if utf8::is_utf8($text);
    $text =~ s/([^A-Za-z0-9_.~-])/sprintf '%%%02X', ord $1/ge;
    return $text;
}

sub _name {
    open my $random, '<:raw', '/dev/urandom' or die "no randomness: $!\n";
    read($random, my $bytes, 16) == 16 or die "no randomness: $!\n";
    return unpack 'H*', $bytes;
}

1;
