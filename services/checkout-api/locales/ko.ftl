### What the shop says in Korean. Both catalogues have the same keys; `language::catalogue` tests that.

## Every page

shop = 주문 상점
skip = 본문으로 건너뛰기
account = 내 계정
my-orders = 주문 내역
sign-in = 로그인
sign-out = 로그아웃
languages = 언어
language-name = 한국어
promise = 결제가 확인된 주문만 결제 완료로 표시합니다. 금액은 모두 원화입니다.
moment = { $year }년 { $month }월 { $day }일 { $time }
back-to-shop = 상점으로 돌아가기
continue-shopping = 계속 쇼핑하기

## Products

products = 상품
no-products = 아직 상품이 없습니다.
no-such-product = 상품을 찾을 수 없습니다
no-such-product-text = 판매가 끝났거나 주소가 잘못되었습니다.
stock-left = 재고 { $count }개
sold-out = 품절
sold-out-text = 지금은 구매할 수 없습니다. 다시 입고되면 이 페이지에서 구매할 수 있습니다.

## Checkout

quantity = 수량
fewer = 수량 줄이기
more = 수량 늘리기
check-quantity = 1개부터 { $most }개까지 주문할 수 있습니다.
email = 이메일 (선택)
email-hint = 결제 서비스가 보내는 영수증을 받을 주소입니다.
check-email = 이메일 주소를 확인해 주세요. 예: name@example.com
payment-method = 결제 수단
needs-script = 결제하려면 자바스크립트를 켜 주세요.
summary = 주문 요약
total = 총 결제 금액
pay = 결제하기
pay-now = 결제하기
not-started = 결제를 시작하지 못했습니다. 청구된 금액은 없습니다. 잠시 후 다시 시도해 주세요.
closed = 결제창을 닫았습니다. 청구된 금액은 없습니다.
agree-first = 필수 약관에 동의해 주세요.
choose-first = 결제 수단을 선택해 주세요.
card-first = 카드 정보를 선택해 주세요.
price-changed = 가격이 바뀌었습니다. 새로고침하여 확인해 주세요. 청구된 금액은 없습니다.
price-now = 가격이 바뀌어 지금은 { $price }입니다. 금액을 확인하고 다시 눌러 주세요. 청구된 금액은 없습니다.
too-many-open = 결제하지 않은 주문이 너무 많습니다. 주문 내역에서 결제하거나 취소해 주세요.
too-many-pieces = 한 번에 주문할 수 있는 수량을 넘었습니다. 수량을 줄여 주세요.
check-fields = 수량과 이메일을 확인해 주세요.

## How an order stands, and what to do next

paid = 결제가 완료되었습니다
paid-text = 주문해 주셔서 감사합니다. 이 주문은 언제든지 주문 내역에서 볼 수 있습니다.
checking = 결제를 확인하고 있습니다
checking-text = 다시 결제하지 마세요. 창을 닫아도 됩니다. 결과는 곧 이 페이지에 표시됩니다.
awaiting = 입금을 기다리고 있습니다
awaiting-text = 아래 계좌로 기한까지 입금해 주세요. 입금이 확인되면 주문이 완료됩니다.
deposit-gone = 은행이 입금을 취소했습니다
deposit-gone-text = 주문을 유지하려면 아래 계좌로 기한까지 다시 입금해 주세요.
deposit-late = 입금 기한이 지났습니다
deposit-late-text = 입금 여부를 확인하고 있습니다. 지금은 입금하지 마세요. 이미 입금하셨다면 그대로 기다려 주세요.
deposit-over = 입금되지 않아 주문이 취소되었습니다
deposit-over-text = 청구된 금액은 없습니다. 늦게 입금된 금액은 환불해 드립니다.
unpaid = 아직 결제하지 않은 주문입니다
unpaid-text = { $until }까지 결제할 수 있습니다.
part-refunded = 일부 환불된 주문입니다
part-refunded-text = { $amount }이 환불되었습니다.
refunding = 환불을 처리하고 있습니다
refunding-text = 따로 하실 일은 없습니다. 처리되면 이 페이지에 표시됩니다.
refunded = 환불된 주문입니다
refunded-text = 결제한 금액을 모두 돌려드렸습니다. 카드사나 은행에 따라 표시까지 며칠 걸릴 수 있습니다.
canceled = 취소된 주문입니다
canceled-text = 청구된 금액은 없습니다.
overdue = 결제 시간이 지난 주문입니다
overdue-text = 청구된 금액은 없습니다. 다시 주문해 주세요.
given-back = 주문이 끝난 뒤에 결제되었습니다
given-back-text = 결제된 금액은 환불해 드립니다. 따로 하실 일은 없습니다.
order = 주문 상품
amount = 결제 금액
ordered-at = 주문 일시
order-number = 주문 번호
paid-by = 결제 수단
receipt = 영수증 보기
bank = 은행
bank-account = 계좌번호
copy = 복사
copied = 복사했습니다
deposit-amount = 입금할 금액
due = 입금 기한
cancel-order = 주문 취소
order-again = 다시 주문하기
show-order = 주문 상세 보기
other-browser = 주문하신 브라우저에서 주문 내역을 열면 자세한 내용을 볼 수 있습니다.

## My orders

no-orders = 아직 주문이 없습니다.
older-orders = 지난 주문 더 보기
and-others = { $name } 외 { $others }건
status-pending = 결제 전
status-confirming = 결제 확인 중
status-awaiting-deposit = 입금 대기
status-paid = 결제 완료
status-part-refunded = 일부 환불
status-refunding = 환불 중
status-refunded = 환불 완료
status-expired = 시간 초과
status-canceled = 취소
refunds = 환불
refund-requested = 처리 중
refund-done = 환불 완료
refund-failed = 환불되지 않음
past = 진행 내역
past-placed = 주문했습니다
past-confirming = 결제를 확인하기 시작했습니다
past-declined = 결제가 승인되지 않았습니다
past-awaiting = 입금 계좌를 받았습니다
past-deposit-gone = 은행이 입금을 취소했습니다
past-paid = 결제가 완료되었습니다
past-expired = 결제 시간이 지났습니다
past-canceled = 주문이 취소되었습니다
past-refund-begun = { $amount } 환불을 시작했습니다
past-refund-done = { $amount }이 환불되었습니다

## When it did not work

aborted = 결제가 중단되었습니다
aborted-text = 청구된 금액은 없습니다. 다시 시도하거나 다른 결제 수단을 골라 주세요.
declined = 결제가 승인되지 않았습니다
refused-limit = 한도를 넘었거나 잔액이 부족합니다. 청구된 금액은 없습니다. 다른 결제 수단으로 다시 시도해 주세요.
refused-count = 하루에 결제할 수 있는 횟수를 넘었습니다. 청구된 금액은 없습니다. 다른 결제 수단으로 다시 시도해 주세요.
refused-small = 이 결제 수단으로는 너무 적은 금액입니다. 청구된 금액은 없습니다. 다른 결제 수단으로 다시 시도해 주세요.
refused-stopped = 정지되었거나 분실 신고된 카드입니다. 청구된 금액은 없습니다. 다른 카드로 다시 시도해 주세요.
refused-details = 카드 번호나 유효 기간이 맞지 않습니다. 청구된 금액은 없습니다. 카드 정보를 확인하고 다시 시도해 주세요.
refused-password = 본인 인증에 실패했습니다. 청구된 금액은 없습니다. 다시 시도하거나 다른 결제 수단을 골라 주세요.
refused-installments = 이 카드로는 선택한 할부를 쓸 수 없습니다. 청구된 금액은 없습니다. 할부 개월을 바꾸어 다시 시도해 주세요.
refused-points = 이 카드로는 포인트를 쓸 수 없습니다. 청구된 금액은 없습니다. 포인트 없이 다시 시도해 주세요.
refused-account = 출금 계좌를 쓸 수 없습니다. 청구된 금액은 없습니다. 계좌를 다시 등록하거나 다른 결제 수단을 골라 주세요.
refused-hours = 지금은 이 결제 수단을 쓸 수 없는 시간입니다. 청구된 금액은 없습니다. 다른 결제 수단을 골라 주세요.
refused-late = 결제 시간이 지났습니다. 청구된 금액은 없습니다. 다시 시도해 주세요.
refused-company = 카드사가 승인하지 않았습니다. 청구된 금액은 없습니다. 다른 결제 수단으로 다시 시도해 주세요.
refused-other = 청구된 금액은 없습니다. 다른 결제 수단으로 다시 시도해 주세요.
sold-out-late = 결제 직전에 품절되었습니다
sold-out-late-text = 청구된 금액은 없습니다. 다시 입고되면 이 주문을 그대로 결제할 수 있습니다.
mismatch = 결제 금액이 주문 금액과 다릅니다
mismatch-text = 청구된 금액은 없습니다. 주문한 금액으로 다시 결제해 주세요.
wrong-state = 이 결제는 받을 수 없습니다
wrong-state-text = 이 시도로 청구된 금액은 없습니다. 주문의 지금 상태를 확인해 주세요.
failed = 결제를 완료하지 못했습니다
failed-text = 이 시도로 청구된 금액은 없습니다. 잠시 후 다시 시도해 주세요.
given-up = 결제를 취소했습니다
given-up-text = 청구된 금액은 없습니다. 주문은 그대로 남아 있어 다시 결제할 수 있습니다.
no-such-order = 이 브라우저에서는 주문을 볼 수 없습니다
no-such-order-text = 주문할 때 사용한 브라우저에서 주문 내역을 열어 주세요. 이미 결제했다면 다시 결제하지 마세요.

## What the provider calls things

method-card = 카드
method-virtual-account = 가상계좌
method-easy-pay = 간편결제
method-phone = 휴대폰
method-transfer = 계좌이체
method-voucher = 상품권
bank-kdb = 산업은행
bank-ibk = 기업은행
bank-kookmin = 국민은행
bank-suhyup = 수협은행
bank-nonghyup = 농협은행
bank-local-nonghyup = 단위농협
bank-woori = 우리은행
bank-sc = SC제일은행
bank-citi = 씨티은행
bank-im = iM뱅크
bank-busan = 부산은행
bank-gwangju = 광주은행
bank-jeju = 제주은행
bank-jeonbuk = 전북은행
bank-kyongnam = 경남은행
bank-saemaul = 새마을금고
bank-shinhyup = 신협
bank-savings = 저축은행
bank-hsbc = HSBC은행
bank-sanlim = 산림조합
bank-post = 우체국
bank-hana = 하나은행
bank-shinhan = 신한은행
bank-k = 케이뱅크
bank-kakao = 카카오뱅크
bank-toss = 토스뱅크

## Trouble

no-such-page = 페이지를 찾을 수 없습니다
no-such-page-text = 주소가 바뀌었거나 잘못 입력되었습니다.
not-from-here = 다른 사이트에서 보낸 요청입니다
not-from-here-text = 아무것도 바뀌지 않았습니다. 상점 페이지에서 다시 시도해 주세요.
too-fast = 요청이 너무 많습니다
too-fast-text = 잠시 후 다시 시도해 주세요.
bad-link = 잘못된 주소입니다
bad-link-text = 주소가 온전한지 확인해 주세요.
trouble = 일시적인 문제가 생겼습니다
trouble-text = 잠시 후 다시 시도해 주세요. 결제하던 중이었다면 다시 결제하기 전에 주문 내역을 확인해 주세요.

## Signing in

sign-in-unavailable = 지금은 로그인할 수 없습니다
sign-in-unavailable-text = 비회원으로는 계속 구매할 수 있습니다. 나중에 로그인하면 주문이 계정으로 옮겨집니다.
sign-in-refused = 로그인하지 못했습니다
sign-in-refused-text = 다시 로그인해 주세요. 비회원으로도 계속 구매할 수 있습니다.
signed-out = 로그아웃했습니다
signed-out-text = 이 브라우저에서는 이제 회원님의 주문이 보이지 않습니다.

## Notifications

notify-on = 이 기기에서 주문 알림 받기
notify-off = 이 기기의 알림 끄기
notify-denied = 브라우저 설정에서 알림이 차단되어 있습니다.
notify-failed = 알림을 바꾸지 못했습니다. 잠시 후 다시 시도해 주세요.
